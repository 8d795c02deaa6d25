/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions that the C library looks for in libnss_redd.so.2, for the database "hosts". They
 * run in any process, in any of its threads: no state, no output, results in the caller's buffer
 * only. A buffer that is too small is NSS_STATUS_TRYAGAIN with ERANGE: the caller comes again.
 * Source: the GNU C Library's manual, "NSS Module Function Internals", and nss.h.
 */
#pragma once

#include <netdb.h>
#include <nss.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum nss_status _nss_redd_gethostbyname4_r(const char *name, struct gaih_addrtuple **tuples,
					   char *buffer, size_t size, int *errnop, int *h_errnop,
					   int32_t *ttlp);
enum nss_status _nss_redd_gethostbyname3_r(const char *name, int family, struct hostent *host,
					   char *buffer, size_t size, int *errnop, int *h_errnop,
					   int32_t *ttlp, char **canonp);
enum nss_status _nss_redd_gethostbyname2_r(const char *name, int family, struct hostent *host,
					   char *buffer, size_t size, int *errnop, int *h_errnop);
enum nss_status _nss_redd_gethostbyname_r(const char *name, struct hostent *host, char *buffer,
					  size_t size, int *errnop, int *h_errnop);
enum nss_status _nss_redd_gethostbyaddr2_r(const void *address, socklen_t length, int family,
					   struct hostent *host, char *buffer, size_t size,
					   int *errnop, int *h_errnop, int32_t *ttlp);
enum nss_status _nss_redd_gethostbyaddr_r(const void *address, socklen_t length, int family,
					  struct hostent *host, char *buffer, size_t size,
					  int *errnop, int *h_errnop);
