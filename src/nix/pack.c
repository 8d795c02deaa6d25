// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lists the content of a system's tarball. Must never copy the store: it is packed in place.
 * Caller's side of clone().
 */
#include "nix/pack.h"

#include <errno.h>
#include <fcntl.h>

#include "lib/io.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "nix/info.h"
#include "nix/locks.h"
#include "nix/names.h"
#include "nix/nix.h"

#define OS_RELEASE "etc/os-release"
#define OS_RELEASE_MAX (64 * 1024)
#define PROFILE NIX_STATE_DIR "/profiles/system"
#define REGISTRATION "nix-path-registration"

static int add_closure(struct pack_tree *tree, const struct nix_infos *infos)
{
	int r = pack_tree_add_folder(tree, NIX_STORE_DIR);

	for (size_t i = 0; i < infos->count && r == 0; i++) {
		autofree char *path = nix_path_of_name(infos->items[i].name);

		r = path ? pack_tree_add_store(tree, path, path) : log_oom();
	}
	return r;
}

static int add_registration(struct pack_tree *tree, const struct nix_infos *infos)
{
	autofree char *text = NULL;
	int r = nix_registration_write(infos, &text);

	return r < 0 ? r : pack_tree_add_text(tree, REGISTRATION, text);
}

/*
 * A file, not a link into the store: programs that read an image's name before its first boot
 * (nspawn, redd list-images) can't follow a link into its store from outside.
 */
static int add_os_release(struct pack_tree *tree, const char *store_path)
{
	autofree char *path = str_printf("%s/" OS_RELEASE, store_path), *text = NULL;
	int r = path ? io_read_file_at(AT_FDCWD, path, OS_RELEASE_MAX, &text, NULL) : -ENOMEM;

	if (r == -ENOENT)
		return 0;
	return r < 0 ? log_errno(r, "read %s", path) : pack_tree_add_text(tree, OS_RELEASE, text);
}

static int add_layout(struct pack_tree *tree, const char *store_path, const struct nix_infos *infos)
{
	int r = add_closure(tree, infos);

	if (r == 0)
		r = add_registration(tree, infos);
	if (r == 0)
		r = add_os_release(tree, store_path);
	if (r == 0)
		r = pack_tree_add_link(tree, PROFILE, store_path);
	if (r == 0)
		r = pack_tree_add_link(tree, "sbin/init", PROFILE "/init");
	return r;
}

/* Splits "a:b" at the last colon: names of sources contain colons more often than targets. */
static int split_pair(const char *pair, const char *what, char **ret_left, const char **ret_right)
{
	const char *colon = strrchr(pair, ':');

	if (!colon || colon == pair || colon[1] == '\0')
		return log_error(-EINVAL, "'%s' is not of the form %s", pair, what);
	*ret_left = strndup(pair, (size_t)(colon - pair));
	*ret_right = colon + 1;
	return *ret_left ? 0 : log_oom();
}

static int add_contents(struct pack_tree *tree, char *const *contents)
{
	int r = 0;

	for (; contents && *contents && r == 0; contents++) {
		autofree char *source = NULL;
		const char *target;

		r = split_pair(*contents, "SOURCE:TARGET", &source, &target);
		if (r == 0)
			r = pack_tree_add_host(tree, target, source);
	}
	return r;
}

static int add_links(struct pack_tree *tree, char *const *links)
{
	int r = 0;

	for (; links && *links && r == 0; links++) {
		autofree char *target = NULL;
		const char *link;

		r = split_pair(*links, "TARGET:LINK", &target, &link);
		if (r == 0)
			r = pack_tree_add_link(tree, link, target);
	}
	return r;
}

int nix_pack(const struct nix_pack_request *request)
{
	autopack struct pack_tree *tree = pack_tree_new();
	autoinfos struct nix_infos infos = {};
	struct pack_request pack = request->pack;
	autoclose int gc_fd = -1;
	int r;

	if (!tree)
		return log_oom();
	/* No root may exist for the packed paths: keep the collector waiting. */
	r = nix_gc_hold(&gc_fd);
	if (r == 0)
		r = nix_infos_read(request->store_path, NIX_DETAIL_REFERENCES, &infos);
	if (r == 0)
		r = add_layout(tree, request->store_path, &infos);
	if (r == 0)
		r = add_contents(tree, request->contents);
	if (r == 0)
		r = add_links(tree, request->links);
	if (r < 0)
		return r;
	pack.name = nix_name_without_hash(path_last(request->store_path));
	for (size_t i = 0; i < infos.count; i++)
		pack.total_bytes += infos.items[i].nar_bytes;
	return transfer_pack(&pack, tree);
}
