# SPDX-License-Identifier: LGPL-2.1-or-later
{ lib, stdenv, meson, ninja, pkg-config, scdoc, python3, libarchive, xz, zstd, zlib, bzip2, json_c, libseccomp, sqlite }:
stdenv.mkDerivation {
  pname = "redd";
  version = "0.1.0";
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
