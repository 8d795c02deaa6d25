{ config, lib, pkgs, ... }:
{
  networking.hostName = "web";
  networking.firewall.allowedTCPPorts = [ 8888 ];

  services.nginx.enable = true;
  services.nginx.virtualHosts.default = {
    default = true;
    listen = [ { addr = "0.0.0.0"; port = 8888; } ];
    locations."/".return = "200 'hello from the container!'";
  };

  # The host's network: the page is at http://127.0.0.1:8888/ of the host.
  redd.settings.Network.VirtualEthernet = false;

  system.stateVersion = "24.11";
}
