#include <stddef.h>

#include "lib/base/blocking.h"

static _Thread_local blocking_hook * thread_hook;
static _Thread_local void * thread_context;

void
blocking_set(blocking_hook * hook, void * context)
{

	thread_hook = hook;
	thread_context = context;
}

void
blocking_thread(void)
{

	if (thread_hook != NULL)
		thread_hook(thread_context);
}
