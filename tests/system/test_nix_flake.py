# SPDX-License-Identifier: LGPL-2.1-or-later
"""
nix/ (flake, modules, template), evaluated by Debian's Nix with a stand-in for nixpkgs that is made here. The stand-in has a
module system of forty lines: imports, mkIf, mkDefault, defaults of options and merging of attribute sets, without types. So
the tests prove that our files evaluate, and to what; not that nixpkgs has each option they set (this was checked by reading
nixpkgs). Nothing is built but the text of one .nspawn file.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]

NIXPKGS = r"""
{
  outputs = { self }:
    let
      merge = a: b:
        if builtins.isAttrs a && builtins.isAttrs b && !(a ? type && a.type == "derivation")
        then builtins.listToAttrs (map (name: {
          inherit name;
          value = if a ? ${name} && b ? ${name} then merge a.${name} b.${name} else a.${name} or b.${name};
        }) (builtins.attrNames (a // b)))
        else if builtins.isList a then a ++ b else b;
      # mkIf needs the finished configuration, so it may stand at the top of a module or at the value of an option.
      clean = value:
        if builtins.isAttrs value && value ? _if then (if value._if then clean value._then else null)
        else if builtins.isAttrs value && !(value ? type && value.type == "derivation")
        then builtins.mapAttrs (_: clean) value
        else value;
      options = tree: builtins.mapAttrs (_: node: if node ? _option then node.default or null else options node) tree;
      fill = type: value:
        if type ? submodule then builtins.mapAttrs (_: one: merge (options type.submodule.options) one) value else value;
      fillAll = tree: config: builtins.listToAttrs (map (name: {
        inherit name;
        value = if !(tree ? ${name}) then config.${name}
          else if tree.${name} ? _option then fill (tree.${name}.type or { }) config.${name}
          else fillAll tree.${name} config.${name};
      }) (builtins.attrNames config));
      evaluate = modules: args:
        let
          load = module: if builtins.isFunction module then module (args // { inherit config lib; pkgs = packages; })
            else if builtins.isAttrs module then module else load (import module);
          loaded = map load modules;
          tree = builtins.foldl' merge { } (map (module: module.options or { }) loaded);
          parts = map (module: module.config or (removeAttrs module [ "options" "imports" ])) loaded;
          # A condition on a whole module goes on to its members, so that asking for one doesn't ask for all.
          push = part: if part ? _if then builtins.mapAttrs (_: value: lib.mkIf part._if value) part._then else part;
          config = fillAll tree (builtins.foldl' merge (options tree) (map (part: clean (push part)) parts));
        in config;
      lib = {
        mkOption = option: option // { _option = true; };
        mkDefault = value: value;
        mkIf = condition: value: { _if = condition; _then = value; };
        types = {
          attrs = { }; bool = { }; path = { }; package = { }; str = { };
          enum = _: { };
          submodule = module: module;
          attrsOf = module: { submodule = module; };
        };
        licenses.lgpl21Plus = "LGPL-2.1-or-later";
        platforms.linux = [ "x86_64-linux" ];
        nixosSystem = { system, modules, specialArgs }: {
          config = merge (evaluate modules specialArgs) { system.build.toplevel = "toplevel of ${system}"; };
        };
        inherit evaluate;
      };
      packages = {
        system = "x86_64-linux";
        writeText = name: text: builtins.toFile name text;
        stdenv.mkDerivation = attributes: attributes;
        callPackage = file: args:
          let function = import file;
          in function (builtins.mapAttrs (name: _: packages.${name} or "input ${name}") (builtins.functionArgs function) // { inherit lib; });
      };
    in { inherit lib; legacyPackages = { x86_64-linux = packages; aarch64-linux = packages; }; };
}
"""


@pytest.fixture
def evaluate(nix_store, tmp_path):
    """evaluate(expression): the value of a Nix expression in which `redd` and `nixpkgs` are the flakes."""
    stand_in = tmp_path / "nixpkgs"
    stand_in.mkdir()
    (stand_in / "flake.nix").write_text(NIXPKGS)
    # Only nix/: the whole folder of a flake is copied into the store.
    tree = tmp_path / "redd"
    shutil.copytree(TREE / "nix", tree)
    (tree / "flake.nix").write_text((tree / "flake.nix").read_text().replace("github:NixOS/nixpkgs/nixos-unstable", f"path:{stand_in}"))

    def run(expression, code=0):
        text = f'let redd = builtins.getFlake "path:{tree}"; nixpkgs = redd.inputs.nixpkgs; in {expression}'
        done = subprocess.run(["nix", "eval", "--impure", "--json", "--expr", text], capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == (code != 0), done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    lock(tree)
    run.tree, run.stand_in = tree, stand_in
    return run


def lock(flake):
    """Inputs are folders here; builtins.getFlake accepts only locked flakes."""
    done = subprocess.run(["nix", "flake", "lock", f"path:{flake}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_outputs(evaluate):
    assert sorted(evaluate("builtins.attrNames redd.outputs")) == ["lib", "nixosModules", "packages", "templates"]
    assert sorted(evaluate("builtins.attrNames redd.nixosModules")) == ["redd-guest", "redd-host"]
    assert evaluate("builtins.pathExists (redd.templates.default.path + \"/flake.nix\")")


def test_package(evaluate):
    package = 'redd.packages.x86_64-linux.default'
    assert evaluate(f"{package}.pname") == "redd"
    assert f"version: '{evaluate(f'{package}.version')}'" in (TREE / "meson.build").read_text()
    assert "input libarchive" in evaluate(f"{package}.buildInputs")


def test_nspawn_text(evaluate):
    text = evaluate('import (redd + "/nspawn.nix") { Network.VirtualEthernet = false; Files = { Bind = [ "/a" "/b:/c" ]; ReadOnly = true; }; }')
    assert text == "[Files]\nBind=/a\nBind=/b:/c\nReadOnly=yes\n\n[Network]\nVirtualEthernet=no\n"
    assert "newline" in evaluate('import (redd + "/nspawn.nix") { Exec.User = "a\\nb"; }', code=1)


def test_guest_module(evaluate):
    system = """(nixpkgs.lib.evaluate [ redd.nixosModules.redd-guest { redd.settings.Network.VirtualEthernet = false; } ] { })"""
    assert evaluate(f"{system}.boot.isContainer") is True
    assert evaluate(f"{system}.networking.useHostResolvConf") is True
    assert evaluate(f'{system}.environment.etc."os-release".mode') == "0444"
    file = evaluate(f"{system}.system.build.reddSettings")
    assert Path(file).read_text() == "[Network]\nVirtualEthernet=no\n"
    assert f"ln -s {file} $out/redd.nspawn" in evaluate(f"{system}.system.systemBuilderCommands")
    bare = "(nixpkgs.lib.evaluate [ redd.nixosModules.redd-guest ] { })"
    assert evaluate(f"{bare}.system.systemBuilderCommands") is None


def test_lib_machine(evaluate):
    assert evaluate("redd.lib.machine { modules = [ { networking.hostName = \"web\"; } ]; }") == "toplevel of x86_64-linux"


def test_host_module(evaluate):
    host = """(nixpkgs.lib.evaluate [ redd.nixosModules.redd-host {
        nix.package = "nix"; services.redd.package = "/redd";
        services.redd.machines.web = { system = "/nix/store/x-system"; rollbackOnFailure = true; settings.Exec.Hostname = "w"; };
        services.redd.machines.db = { system = "/nix/store/y-system"; autoStart = false; store = "whole"; };
    } ] { })"""
    assert evaluate(f'{host}.environment.etc."systemd/nspawn/web.nspawn".text') == (
        "[Exec]\nHostname=w\n\n[X-Nix]\nRollbackOnFailure=yes\nStore=closure\nSystem=/nix/var/nix/profiles/per-container/web/system\n"
    )
    service = evaluate(f"{host}.systemd.services.redd-web")
    assert service["script"] == "/redd/bin/redd start web" and service["wantedBy"] == ["multi-user.target"]
    assert service["reload"] == "/redd/bin/redd nix update web /nix/store/x-system" and service["reloadIfChanged"]
    assert "nix create web /nix/store/x-system --store=closure" in service["preStart"]
    assert evaluate(f"{host}.systemd.services.redd-db.wantedBy") == []
    assert evaluate("nixpkgs.lib.evaluate [ redd.nixosModules.redd-host ] { }")["services"]["redd"]["machines"] == {}


def test_template(evaluate, tmp_path):
    """The result of `nix flake init`, with its two inputs replaced."""
    new = tmp_path / "new"
    new.mkdir()
    done = subprocess.run(["nix", "flake", "init", "-t", f"path:{evaluate.tree}"], cwd=new, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in new.iterdir()) == ["README.md", "configuration.nix", "flake.nix"]
    flake = (new / "flake.nix").read_text()
    flake = flake.replace("github:NixOS/nixpkgs/nixos-unstable", f"path:{evaluate.stand_in}")
    (new / "flake.nix").write_text(flake.replace("git+file:///path/to/redd?dir=nix", f"path:{evaluate.tree}"))
    lock(new)
    assert evaluate(f'(builtins.getFlake "path:{new}").packages.x86_64-linux.web') == "toplevel of x86_64-linux"


def test_settings_of_the_system_become_the_machines(redd, machines, nix_store):
    """`create` begins the settings file with what guest.nix puts into the system."""
    expression = """derivation {
      name = "nixos-system-settings"; system = builtins.currentSystem; builder = "/bin/bash"; PATH = "/usr/bin:/bin";
      args = [ "-euc" "mkdir $out; printf x86_64-linux >$out/system; printf '#!/bin/sh' >$out/init; chmod 555 $out/init; printf '[Network]\\\\nVirtualEthernet=no\\\\n' >$out/redd.nspawn; exit 0" ];
    }"""
    system = nix_store.run("nix-build", "--no-out-link", "-E", expression).split()[-1]
    machine = machines.claim(machines.fresh_name("nix"))
    redd("nix", "create", machine, system)
    text = Path(f"/etc/systemd/nspawn/{machine}.nspawn").read_text()
    assert text.startswith("[Network]\nVirtualEthernet=no\n\n[X-Nix]\nSystem=")
