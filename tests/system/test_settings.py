# SPDX-License-Identifier: LGPL-2.1-or-later
"""Options and .nspawn files as a user sees them: by `redd run --explain`, which starts nothing."""

import os

import pytest
from helpers.security import row

ETC_SYSTEMD = "/etc/systemd/nspawn"
ETC_REDD = "/etc/redd/nspawn"
RUN_SYSTEMD = "/run/systemd/nspawn"


@pytest.fixture
def tree(tmp_path):
    """A tree with only what a plan needs: it is never run."""
    root = tmp_path / "plain"
    for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr", "var"):
        (root / name).mkdir(parents=True)
    (root / "bin/sh").write_bytes(b"\x7fELF")
    (root / "bin/sh").chmod(0o755)
    (root / "etc/os-release").write_text("ID=plain\n")
    return root


@pytest.fixture
def explain(redd, tree):
    def call(*options, **kwargs):
        return redd("run", "--explain", "-D", tree, "-M", "plain", *options, **kwargs)

    return call


@pytest.fixture
def settings():
    """settings(folder, text) writes plain.nspawn there; it is removed at the end."""
    written = []

    def write(folder, text):
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "plain.nspawn")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        written.append(path)
        return path

    yield write
    for path in written:
        if os.path.lexists(path):
            os.unlink(path)


@pytest.mark.parametrize(
    "options, says",
    [
        (["--bnd=/a"], "did you mean --bind?"),
        (["-y"], "unknown option -y"),
        (["--image=/x"], "option --image of systemd-nspawn is not supported yet: "),
        (["--notify-ready=maybe"], "--notify-ready: \"maybe\" isn't yes or no"),
        (["-M"], "option -M needs a value"),
        (["-b", "-a"], "-b and -a cannot be combined"),
        (["--uid=4294967295"], "--uid: \"4294967295\" isn't the name or the number of a user"),
        (["--bind=/etc:/proc"], "--bind: nothing can be mounted on /proc"),
        (["--capability=CAP_NONE"], "--capability: \"CAP_NONE\" isn't"),
    ],
)
def test_mistakes_are_usage_errors(redd, tree, options, says):
    redd.fails("run", "--explain", "-D", tree, *options, code=2, says=says)


def test_the_host_itself_is_refused(redd):
    redd.fails("run", "--explain", "-D", "/", "-M", "host", code=2, says="--ephemeral runs a throw-away copy")


def test_option_reaches_the_plan(explain):
    assert "named-by-option" in explain("--hostname=named-by-option").out


def test_file_reaches_the_plan(explain, settings):
    settings(ETC_SYSTEMD, "[Exec]\nHostname=named-by-file\n")
    result = explain()
    assert "named-by-file" in result.out and result.err == ""


def test_first_place_wins(explain, settings, tree):
    settings(tree.parent, "[Exec]\nHostname=beside-the-image\n")
    assert "beside-the-image" in explain().out
    settings(RUN_SYSTEMD, "[Exec]\nHostname=in-run\n")
    assert "in-run" in explain().out
    settings(ETC_SYSTEMD, "[Exec]\nHostname=in-etc-systemd\n")
    assert "in-etc-systemd" in explain().out
    settings(ETC_REDD, "[Exec]\nHostname=in-etc-redd\n")
    assert "in-etc-redd" in explain().out
    assert "in-etc-redd" not in explain("--settings=no").out


def test_option_hides_the_file_unless_told_otherwise(explain, settings):
    settings(ETC_SYSTEMD, "[Exec]\nHostname=named-by-file\n")
    assert "named-by-option" in explain("--hostname=named-by-option").out
    assert "named-by-file" in explain("--hostname=named-by-option", "--settings=override").out


def test_nothing_in_a_file_is_dropped_silently(explain, settings):
    path = settings(
        ETC_SYSTEMD, "[Exec]\nBoto=yes\nTimezone=copy\nNotifyReady=maybe\n[Netwrok]\nPrivate=yes\n[X-Other]\nPrivate=yes\n[Files]\nnonsense\n"
    )
    lines = explain().err.splitlines()
    assert [line.partition(path)[2].split(",")[0] for line in lines] == [
        ":2: Boto: unknown key",
        ":3: Timezone: not supported yet: redd doesn't write this file into the guest so far",
        ":4: NotifyReady: ignored",
        ":5: [Netwrok]: unknown section",
        ":10: nonsense: ignored",
    ]


@row("S01", "keys in an untrusted file", "trust is a column of the settings table; the default is trusted only")
def test_untrusted_file_gives_nothing_of_the_host_away(explain, settings, tree):
    """S01 as a user sees it; the unit tests cover every key."""
    path = settings(
        tree.parent, "[Exec]\nHostname=harmless\nPrivateUsers=no\nCapability=all\n[Files]\nBind=/etc:/stolen\n[Network]\nPrivate=no\n"
    )
    result = explain("-n")
    assert "harmless" in result.out and "stolen" not in result.out
    for line, key in ((3, "PrivateUsers"), (4, "Capability"), (6, "Bind"), (8, "Private")):
        assert f"{path}:{line}: {key}: ignored, a file beside an image isn't trusted with it" in result.err
    assert ETC_SYSTEMD in result.err


@row("S01")
def test_link_beside_the_image_is_not_followed(explain, tree, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("root:hash\n")
    (tree.parent / "plain.nspawn").symlink_to(secret)
    result = explain()
    assert "ignored, it is a link" in result.err and "hash" not in result.err


def test_fifo_beside_the_image_does_not_block(redd, tree):
    os.mkfifo(tree.parent / "plain.nspawn")
    redd.fails("run", "--explain", "-D", tree, "-M", "plain", says="plain.nspawn", timeout=5)


def test_terminal_commands_in_a_file_are_not_passed_on(explain, settings, tree):
    settings(tree.parent, "[Exec]\n\x1b]0;owned\x07=1\nHostname=a\u202eb\n")
    result = explain()
    assert "\x1b" not in result.err and "\u202e" not in result.err
    assert result.err.count("the line holds control bytes or isn't UTF-8") == 2


def test_help_lists_the_options(redd):
    text = redd("run", "--help").out
    assert "-b --boot" in text and "--stop-timeout=TIME" in text and "--image" not in text
