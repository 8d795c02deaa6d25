# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A module for NixOS systems that run in a machine of redd: what the system needs, and the settings of its machine. `redd nix
# create` copies the settings to /etc/systemd/nspawn/NAME.nspawn; later changes have to be made there.
{ config, lib, pkgs, ... }:
let cfg = config.redd;
in {
  options.redd = {
    settings = lib.mkOption {
      type = lib.types.attrs;
      default = { };
      example = { Network.VirtualEthernet = false; Files.Bind = [ "/srv/web:/var/lib/web:idmap" ]; };
      description = "The machine's .nspawn file, by section and key; see redd.nspawn(5).";
    };
    hostResolvConf = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether the machine uses the /etc/resolv.conf that the host gives it.";
    };
  };

  config = {
    # No kernel, no boot loader, no hardware; a getty on the console.
    boot.isContainer = lib.mkDefault true;
    networking.useHostResolvConf = lib.mkDefault cfg.hostResolvConf;
    networking.useDHCP = lib.mkDefault false;
    # The store is read-only and has no database here; with Store=daemon the host's daemon builds.
    nix.gc.automatic = lib.mkDefault false;
    nix.optimise.automatic = lib.mkDefault false;
    # A file instead of a link, so that tools on the host can read it without the store.
    environment.etc."os-release".mode = lib.mkDefault "0444";

    system.build.reddSettings = pkgs.writeText "redd.nspawn" (import ./nspawn.nix cfg.settings);
    system.systemBuilderCommands = lib.mkIf (cfg.settings != { }) ''
      ln -s ${config.system.build.reddSettings} $out/redd.nspawn
    '';
  };
}
