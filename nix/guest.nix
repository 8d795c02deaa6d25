# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a NixOS system needs to run in a machine of redd's, and what the machine is to be like. `redd nix create` takes the
# settings from the system it is given; later changes of them are for /etc/systemd/nspawn/NAME.nspawn.
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
      description = "Whether names are resolved by what the host puts into /etc/resolv.conf.";
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
    # A file, so that tools which look from outside find it without the store.
    environment.etc."os-release".mode = lib.mkDefault "0444";

    system.build.reddSettings = pkgs.writeText "redd.nspawn" (import ./nspawn.nix cfg.settings);
    system.systemBuilderCommands = lib.mkIf (cfg.settings != { }) ''
      ln -s ${config.system.build.reddSettings} $out/redd.nspawn
    '';
  };
}
