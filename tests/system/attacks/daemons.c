/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* X09: starts a hundred processes in sessions of their own that ignore all signals they can, and
 * exits. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
	if (argc > 1 && argv[argc - 1][0] == 's')
		for (;;)
			pause(); /* as an init, stay */
	for (int i = 0; i < 100; i++) {
		if (fork() == 0) {
			if (fork() != 0)
				_exit(0);
			setsid();
			for (int signal_number = 1; signal_number < 65; signal_number++)
				signal(signal_number, SIG_IGN);
			for (;;)
				pause();
		}
	}
	sleep(1);
	puts("left");
	return 7;
}
