{
  description = "A NixOS machine for redd";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  # Where redd's repository is; its flake is in the folder nix.
  inputs.redd.url = "git+file:///path/to/redd?dir=nix";
  inputs.redd.inputs.nixpkgs.follows = "nixpkgs";

  outputs = { self, nixpkgs, redd }: {
    packages.x86_64-linux.web = redd.lib.machine { modules = [ ./configuration.nix ]; };
  };
}
