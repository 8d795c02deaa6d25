# SPDX-License-Identifier: LGPL-2.1-or-later
cat >"$out" <<CONF
daemon off;
user nginx nginx;
worker_processes 1;
pid /run/nginx/nginx.pid;
error_log stderr;
events { }
http {
	access_log off;
	default_type text/plain;
	client_body_temp_path /run/nginx/body;
	proxy_temp_path /run/nginx/proxy;
	fastcgi_temp_path /run/nginx/fastcgi;
	uwsgi_temp_path /run/nginx/uwsgi;
	scgi_temp_path /run/nginx/scgi;
	server {
		listen 8888;
		listen [::]:8888;
		root $www;
	}
}
CONF
exit 0
