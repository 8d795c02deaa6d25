# SPDX-License-Identifier: LGPL-2.1-or-later
#
# redd for Nix: the program, a module for systems that run in it, a module for NixOS hosts, and a template.
#
#   nix build '…?dir=nix'                      the program
#   nix flake init -t '…?dir=nix'              a machine of your own, in three files
{
  description = "Boots whole operating systems in containers on any Linux host";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forAll = f: builtins.listToAttrs (map (system: { name = system; value = f system; }) systems);
    in {
      packages = forAll (system: { default = nixpkgs.legacyPackages.${system}.callPackage ./package.nix { }; });

      nixosModules.redd-guest = import ./guest.nix;
      nixosModules.redd-host = { pkgs, lib, ... }@args: import ./host.nix (args // {
        reddPackage = self.packages.${pkgs.system or "x86_64-linux"}.default;
      });

      # machine { system = "x86_64-linux"; modules = [ ./configuration.nix ]; } is a package for `redd nix create NAME .#NAME`.
      lib.machine = { system ? "x86_64-linux", modules ? [ ], specialArgs ? { }, nixpkgs ? self.inputs.nixpkgs }:
        (nixpkgs.lib.nixosSystem {
          inherit system specialArgs;
          modules = [ self.nixosModules.redd-guest ] ++ modules;
        }).config.system.build.toplevel;

      templates.default = {
        path = ./template;
        description = "A NixOS machine for redd: a flake, its configuration, and how to start it";
      };
    };
}
