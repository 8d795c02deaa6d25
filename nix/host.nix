# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A module for NixOS hosts that declares machines. Each is a service that creates the machine if it is missing, sets its
# generation, and starts it. When a rebuild of the host changes a machine's system, the running machine is switched. A machine
# that is no longer declared is stopped but kept: only a user runs `redd remove NAME`.
{ config, lib, pkgs, reddPackage ? null, ... }:
let
  cfg = config.services.redd;
  redd = "${cfg.package}/bin/redd";

  machine = {
    options = {
      system = lib.mkOption {
        type = lib.types.path;
        description = "The system to run: the result of lib.machine, or config.system.build.toplevel of any NixOS.";
      };
      store = lib.mkOption {
        type = lib.types.enum [ "closure" "whole" "daemon" ];
        default = "closure";
        description = "Which part of the host's store the machine sees.";
      };
      autoStart = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = "Whether it starts with the host.";
      };
      rollbackOnFailure = lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = "Whether a generation that does not become ready is rolled back.";
      };
      settings = lib.mkOption {
        type = lib.types.attrs;
        default = { };
        description = "The machine's .nspawn file, by section and key; see redd.nspawn(5).";
      };
    };
  };

  settingsOf = name: m: m.settings // {
    X-Nix = (m.settings.X-Nix or { }) // {
      System = "/nix/var/nix/profiles/per-container/${name}/system";
      Store = m.store;
      RollbackOnFailure = m.rollbackOnFailure;
    };
  };

  service = name: m: {
    description = "Machine ${name}";
    wantedBy = if m.autoStart then [ "multi-user.target" ] else [ ];
    after = [ "network.target" ];
    # A new generation reloads the service: the machine keeps running.
    reloadIfChanged = true;
    path = [ config.nix.package ];
    preStart = ''
      if [ -d /var/lib/machines/${name} ]
      then ${redd} -q nix update --boot ${name} ${m.system}
      else ${redd} -q nix create ${name} ${m.system} --store=${m.store}
      fi
    '';
    script = "${redd} start ${name}";
    reload = "${redd} nix update ${name} ${m.system}";
    preStop = "${redd} stop ${name}";
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      # redd stops the machine's processes; systemd must not kill them.
      KillMode = "none";
      Delegate = true;
    };
  };

  each = f: builtins.listToAttrs (map (name: f name cfg.machines.${name}) (builtins.attrNames cfg.machines));
in {
  options.services.redd = {
    package = lib.mkOption {
      type = lib.types.package;
      default = reddPackage;
      description = "The redd to use.";
    };
    machines = lib.mkOption {
      type = lib.types.attrsOf (lib.types.submodule machine);
      default = { };
      description = "Machines that run on this host, by name.";
    };
  };

  config = lib.mkIf (cfg.machines != { }) {
    environment.systemPackages = [ cfg.package ];
    environment.etc = each (name: m: {
      name = "systemd/nspawn/${name}.nspawn";
      value.text = import ./nspawn.nix (settingsOf name m);
    });
    systemd.services = each (name: m: { name = "redd-${name}"; value = service name m; });
  };
}
