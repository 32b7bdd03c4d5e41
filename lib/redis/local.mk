lib_libflagtally_a_SOURCES += \
	lib/redis/address.h lib/redis/bucket.c lib/redis/bucket.h \
	lib/redis/caps.c \
	lib/redis/caps.h lib/redis/cluster.c lib/redis/cluster.h \
	lib/redis/commands.c lib/redis/commands.h \
	lib/redis/confirm.c lib/redis/confirm.h \
	lib/redis/contract.h lib/redis/drops.c lib/redis/drops.h \
	lib/redis/error_reply.c lib/redis/error_reply.h \
	lib/redis/link.c lib/redis/link.h \
	lib/redis/pipeline.c lib/redis/pipeline.h lib/redis/redis.c \
	lib/redis/redis.h lib/redis/redis_url.c lib/redis/redis_url.h \
	lib/redis/reply.c lib/redis/reply.h \
	lib/redis/resolve.c lib/redis/resolve.h lib/redis/sentinel.c \
	lib/redis/sentinel.h lib/redis/session.c \
	lib/redis/session.h lib/redis/sink.c lib/redis/sink.h \
	lib/redis/slots.c lib/redis/slots.h \
	lib/redis/redis_tls.c lib/redis/redis_tls.h
