# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A system of NixOS's shape: everything in /nix/store, a toplevel with init, activate, etc and sw, and a profile.
# Not NixOS: the programs are Debian's, made to run from the store with patchelf; there is no nixpkgs, no module
# system and no perl; units are Debian's with their paths replaced; stage 2, activate and switch-to-configuration
# are our own, after the documented behaviour; the set of users is fixed. Everything a container manager meets
# (links, mounts, remounts, registration, immutable /var/empty) is as on NixOS.
{
  inputs.packages = { url = "path:/nix/guest/packages"; flake = false; };

  outputs = { self, packages }:
    let
      graph = builtins.fromJSON (builtins.readFile ./graph.json);
      make = name: script: environment: derivation ({
        inherit name;
        system = "x86_64-linux";
        builder = "/bin/bash";
        args = [ "-eu" script ];
        PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
      } // environment);

      packaged = builtins.mapAttrs (name: needs: make name ./package.sh {
        src = "${packages}/${name}";
        deps = map (need: packaged.${need}) needs;
        glibc = if name == "glibc" then "" else packaged.glibc;
      }) graph;
      inherit (packaged) bash systemd;

      programs = with packaged; [
        bash coreutils systemd dbus-daemon dbus-bin util-linux mount login passwd iproute2 curl nix-bin grep sed
        findutils procps e2fsprogs tar gzip
      ];

      sw = make "system-path" ./sw.sh { inherit programs; };
      page = text: make "www" ./www.sh { inherit text; };
      nginxConf = text: make "nginx.conf" ./nginx-conf.sh { www = page text; inherit (packaged) nginx; };
      units = text: make "system-units" ./units.sh {
        inherit systemd; dbus = packaged.dbus-daemon;
        dbusUnits = packaged.dbus; dbusCommon = packaged.dbus-system-bus-common; utilLinux = packaged.util-linux;
        inherit (packaged) login nginx coreutils; nginxConf = nginxConf text;
      };
      etc = text: make "etc" ./etc.sh {
        files = ./etc; units = units text; inherit systemd bash sw;
        modules = packaged.libpam-modules; pamSystemd = packaged.libpam-systemd;
        dbusCommon = packaged.dbus-system-bus-common;
      };
      toplevel = text: make "nixos-system-guest-23.11" ./toplevel.sh {
        inherit bash sw systemd; etc = etc text; scripts = ./scripts;
        utilLinux = packaged.util-linux; inherit (packaged) mount;
      };
    in {
      system = toplevel "hello from the container!";
      system2 = toplevel "hello from the second generation!";
    };
}
