# SPDX-License-Identifier: LGPL-2.1-or-later
{ lib, stdenv, meson, ninja, pkg-config, scdoc, python3, libarchive, xz, zstd, zlib, bzip2, json_c, libseccomp, sqlite }:
stdenv.mkDerivation {
  pname = "redd";
  # meson.build alone says the version.
  version = builtins.head (builtins.match ".*version: '([0-9.]+)'.*" (builtins.readFile ../meson.build));
  src = ../.;
  nativeBuildInputs = [ meson ninja pkg-config scdoc python3 ];
  buildInputs = [ libarchive xz zstd zlib bzip2 json_c libseccomp sqlite ];
  meta = {
    description = "Boots whole operating systems in containers on any Linux host";
    license = lib.licenses.lgpl21Plus;
    platforms = lib.platforms.linux;
    mainProgram = "redd";
  };
}
