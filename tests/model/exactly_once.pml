/*
 * Exactly once: a model, for SPIN, of how a group of counts gets into Redis
 * (lib/redis/sink.c, lib/commit/store.c, lib/commit/replay.c,
 * lib/redis/apply.lua).  ./check runs it.
 *
 * What is claimed: an increment that was answered 202 is in Redis exactly
 * once when all is quiet, and one that was not answered 202 at most once.
 *
 * The rule that is modelled is the one at the top of lib/redis/sink.c: a call is
 * known by its writer's id, its slot and its number, and keeps them until it is
 * settled, whatever happens; each call is settled by its own answer; under one
 * writer and slot one call at most waits to be settled.  So a group's open
 * calls that go to the spool are their writer's last, and replay takes counts
 * out of the spool, under the next number of its own writer, only when the
 * spool has no calls of theirs.
 *
 * With RESTORES, a writer that was killed may come again as it was in the
 * beginning, with its first id, as from a snapshot of its host.  Then a number
 * alone does not say whose call it was, and Redis keeps the number with its
 * random part: in the model that is the groups whose increments a call carries,
 * as two calls never carry the same.  A call that finds another's number gets a
 * new id (sink_readdress).
 *
 * Each of these takes something away or does it another way, and then
 * something is lost or counted twice:
 *  NO_ROTATION          the writer keeps its id after its calls went to the
 *                       spool
 *  NO_SEQUENCE_CHECK    the script does not look at the number
 *  NO_RANDOM_PART       with RESTORES: whoever finds a number takes it for its
 *                       own call's
 *  RESEND_OUT_OF_ORDER  the calls of a group share a slot, each with a number
 *                       of its own, which it keeps: one that got an error is
 *                       sent again after a later one was applied, and looks
 *                       done
 *  RENUMBER             a call that got an error which may pass gets a new
 *                       number, beyond all others: if another copy of it was
 *                       applied or still comes, it counts twice
 *  SEND_BEFORE_RECORD   tallies are sent before the spool has their identity
 *  REMOVE_BEFORE_DONE   calls are removed before Redis has said done
 *  SETTLE_ALL           all calls of a record are removed when one is settled
 *  TAKE_UNSETTLED       replay takes out counts while calls of its own writer
 *                       are not settled
 *  ALWAYS_RETIRE        the writer has its keys removed at its end although a
 *                       connection broke
 *  BLIND_REPLACE        with NO_LEASE: a transaction of the spool does not look
 *                       whether the records that it removes are there
 * ONE_SLOT with RENUMBER (the calls of a group share a slot, and those that
 * got an error go to the end with new numbers) is right if there are only
 * errors, or only breaks, and wrong if there are both.
 *
 * NO_LEASE does no harm: two that replay the same record send the same
 * identities, and only one of two transactions finds the record.  That holds
 * because identities do not change: with RENUMBER it is wrong.
 *
 * Left out: calls that Redis refuses for good; that Redis forgets a writer
 * after a month, and may lose what it has (its own persistence); a reply that
 * no replica confirms, which is as if it had been lost, and then the call, too,
 * in a failover, after which Redis is as if the call had not arrived; that the
 * journal is folded into cells, in transactions that change no sum; that a host
 * is copied and both go on.
 *
 * To see how something goes wrong, say without the check of the number:
 *     spin -a -DNO_SEQUENCE_CHECK -DBREAKS=1 exactly_once.pml
 *     gcc -O2 -DSAFETY -DBFS -o pan pan.c && ./pan
 *     spin -k exactly_once.pml.trail -p -g -DNO_SEQUENCE_CHECK -DBREAKS=1 \
 *         exactly_once.pml
 */

/* How large, and how many faults of each kind in one run. */
#ifndef GROUPS
#define GROUPS 2		/* Each is one increment in each of its calls. */
#endif
#ifndef CALLS
#define CALLS 2			/* Of a group, sent in one pipeline: 1 or 2. */
#endif
#ifndef REPLAYERS
#define REPLAYERS 1
#endif
#ifndef BREAKS
#define BREAKS 0		/* A connection fails, or there is no answer in time. */
#endif
#ifndef ERRORS
#define ERRORS 0		/* LOADING, OOM, MOVED, ...: errors that may pass. */
#endif
#ifndef KILLS
#define KILLS 0			/* kill -9 of a writer or of a replayer. */
#endif
#ifndef RESTORES
#define RESTORES 0		/* Kills after which a snapshot is restored. */
#endif
#ifndef SPOOL_FAULTS
#define SPOOL_FAULTS 0		/* The spool is full or cannot be written. */
#endif

/* Those in use, and those whose client has gone. */
#define CONNECTIONS (1 + REPLAYERS + BREAKS + KILLS)
#define NO_CONNECTION CONNECTIONS
#define IDS (2 + 2 * GROUPS + BREAKS + ERRORS + KILLS + RESTORES * GROUPS)
#define ALL_CALLS ((1 << CALLS) - 1)

/* A key of Redis for each writer and slot.  The calls of a group (under one
 * tag or under several) have a slot each, and the number of the group. */
#ifdef RESEND_OUT_OF_ORDER
#define ONE_SLOT
#endif
#ifdef ONE_SLOT
#define KEY(id, call) (id)
#else
#define KEY(id, call) ((id) * CALLS + (call))
#endif

/* Calls that belong together, in a process's hands (struct calls). */
typedef Batch {
	byte id;		/* Of the writer. */
	byte groups;		/* Whose increments they carry: a set. */
	byte left;		/* The calls that are not settled: a set. */
	byte number[CALLS]
};

/* Redis */
byte stored[IDS * CALLS];	/* The writers' keys, */
#if RESTORES > 0
byte by[IDS * CALLS];		/* and whose number each has. */
#endif
byte applied[CALLS];		/* The counters: the groups counted in each. */

/* The spool: lib/spool/spool.h.  It has room for a record of each group. */
#define NOTHING 0
#define TALLY 1			/* Journal or cells: no identity. */
#define SENT 2			/* Calls, in doubt. */
byte kind[GROUPS];
Batch record[GROUPS];
bool leased;			/* spool_lock */

/* Connections: what waits in the server's socket buffer, and the replies. */
chan wire[CONNECTIONS] = [CALLS] of { byte, byte, byte, byte };
chan reply[CONNECTIONS] = [CALLS] of { byte, byte };
bool open[CONNECTIONS];		/* Its client still has it. */
byte waiting;			/* Calls in all socket buffers. */

#define FAILED 0		/* Replies: an error, */
#define DONE 1			/* applied, now or before, */
#define FOREIGN 2		/* another's number is there. */

byte promised;			/* The groups that were answered 202. */
byte next_id;			/* A fresh one: in truth it is random. */
byte replaying;			/* Replayers at work. */
bool ended;			/* The writer has no more groups. */

/* Faults that may still come. */
byte breaks = BREAKS, errors = ERRORS, kills = KILLS;
byte restores = RESTORES;
byte spool_faults = SPOOL_FAULTS;

#if GROUPS == 1
#define SPOOLED (kind[0] != NOTHING)
#elif GROUPS == 2
#define SPOOLED (kind[0] != NOTHING || kind[1] != NOTHING)
#else
#define SPOOLED (kind[0] != NOTHING || kind[1] != NOTHING || kind[2] != NOTHING)
#endif

/* kill -9; ${killed} is where a process begins anew. */
#define MAY_BE_KILLED :: atomic { kills > 0 -> kills--; goto killed }

/* sink_new_writer */
inline new_writer(batch)
{
	batch.id = next_id;
	next_id++
}

/* The client closes a connection: replies that it has not read are lost, and
 * what waits at the server waits on. */
inline close(c)
{
	if
	:: c != NO_CONNECTION ->
		open[c] = false;
		do
		:: nempty(reply[c]) -> reply[c]?_, _
		:: empty(reply[c]) -> break
		od;
		c = NO_CONNECTION
	:: else
	fi
}

/* Any connection with nothing on the way is as good as a new one. */
inline connect(c)
{
	c = 0;
	do
	:: open[c] || nempty(wire[c]) -> c++
	:: !open[c] && empty(wire[c]) -> break
	od;
	open[c] = true
}

inline put(c, batch, call)
{
	if
	:: batch.left & (1 << (call)) ->
		wire[c]!batch.id, call, batch.number[call], batch.groups;
		waiting++;
		unanswered++
	:: else
	fi
}

/* request_pending: in the order of the numbers, if they differ. */
inline put_all(c, batch)
{
#if CALLS == 1
	put(c, batch, 0)
#else
	if
	:: batch.number[0] <= batch.number[1] ->
		put(c, batch, 0);
		put(c, batch, 1)
	:: else ->
		put(c, batch, 1);
		put(c, batch, 0)
	fi
#endif
}

/* What got an error keeps its number, or else: */
inline update(batch)
{
#ifdef RENUMBER
	call = 0;
	do
	:: call == CALLS -> break
	:: call < CALLS ->
		if
		:: failed & (1 << call) ->
			sequence++;
			batch.number[call] = sequence
		:: else
		fi;
		call++
	od;
#endif
	failed = 0;
	call = 0
}

/*
 * sink_send: send what is left of ${batch}, and take replies until all are
 * there or the connection breaks.  A break in the midst of sending is one
 * after it, for the server may lose any part of the end.
 */
inline send(batch)
{
	atomic {
		connect(c);
		put_all(c, batch)
	}
	do
	:: atomic {
		reply[c]?call, done ->
		unanswered--;
		if
		:: done == DONE -> batch.left = batch.left & ~(1 << call)
		:: done == FAILED -> failed = failed | (1 << call)
		/* Of two calls each would need an id of its own. */
		:: done == FOREIGN -> assert(CALLS == 1); new_writer(batch)
		fi;
		call = 0;
		done = FAILED;
		if
		:: unanswered == 0 -> break
		:: else
		fi
	   }
	:: atomic {
		breaks > 0 ->
		breaks--;
		unanswered = 0;
		broken = true;
		break
	   }
	MAY_BE_KILLED
	od;
	atomic {
		close(c);
		update(batch)
	}
}

/* One of Redis' connections.  A script is atomic: lib/redis/apply.lua. */
proctype Server(byte c)
{
	byte id, call, number, groups;
	byte done;

end:
	do
	:: atomic {
		wire[c]?id, call, number, groups ->
		waiting--;
		if
#ifndef NO_SEQUENCE_CHECK
		:: stored[KEY(id, call)] >= number ->
			done = DONE;
#if RESTORES > 0 && !defined(NO_RANDOM_PART)
			if
			:: by[KEY(id, call)] != groups -> done = FOREIGN
			:: else
			fi
#endif
		:: stored[KEY(id, call)] < number ->
#else
		:: true ->
#endif
			/* Nothing is ever counted twice. */
			assert((applied[call] & groups) == 0);
			applied[call] = applied[call] | groups;
			stored[KEY(id, call)] = number;
#if RESTORES > 0
			by[KEY(id, call)] = groups;
#endif
			done = DONE
		/* The server may refuse before the script has begun, so even
		 * what has been applied before. */
		:: errors > 0 ->
			errors--;
			done = FAILED
		fi;
		if
		:: open[c] -> reply[c]!call, done
		:: else
		fi;
		id = 0;
		call = 0;
		number = 0;
		groups = 0;
		done = FAILED
	   }
	/* The client has gone, and what still waits never arrives. */
	:: atomic {
		!open[c] && nempty(wire[c]) ->
		do
		:: nempty(wire[c]) ->
			wire[c]?_, _, _, _;
			waiting--
		:: empty(wire[c]) -> break
		od
	   }
	od
}

/* A process's committer: lib/commit/commit.c.  Killed, it comes again as another. */
proctype Writer()
{
	Batch batch;
	byte sequence, group, unanswered, failed, call, done;
	byte c = NO_CONNECTION;
	byte first = IDS;	/* Its first id. */
	bool broken;

begin:
	atomic {
		broken = false;
		if
		:: new_writer(batch)
		/* A program that retires its writer takes one request (CGI),
		 * and ends before its host could be restored. */
		:: restores > 0 && first != IDS ->
			restores--;
			batch.id = first;
			broken = true
		fi;
		if
		:: first == IDS -> first = batch.id
		:: else
		fi;
		sequence = 0
	}
	do
	:: atomic { group == GROUPS -> break }
	:: group < GROUPS ->
		if
		/* Redis is known to be away, or ack=spool: spool_tally. */
		:: atomic {
			kind[group] = TALLY;
			goto answer
		   }
		/* sink_commit, encode: the group has the next number. */
		:: d_step {
			batch.groups = 1 << group;
			batch.left = ALL_CALLS;
			sequence++;
			batch.number[0] = sequence;
#if defined(ONE_SLOT) && CALLS == 2
			sequence++;
#endif
			batch.number[CALLS - 1] = sequence
		   }
		MAY_BE_KILLED
		fi;
		do
		:: atomic { batch.left == 0 -> break }
		/* There is time to send, for the first time or again. */
		:: batch.left != 0 -> send(batch)
		/* The deadline has passed: spool_calls, which takes a new id,
		 * and then the answer. */
		:: atomic {
			batch.left != 0 ->
			kind[group] = SENT;
			record[group].id = batch.id;
			record[group].groups = batch.groups;
			record[group].left = batch.left;
			record[group].number[0] = batch.number[0];
			record[group].number[CALLS - 1] = batch.number[CALLS - 1];
#ifndef NO_ROTATION
			new_writer(batch);
			sequence = 0;
#endif
			break
		   }
		/* The spool does not take it: 503, no promise.  The id stays,
		 * and the next calls have greater numbers. */
		:: atomic {
			batch.left != 0 && spool_faults > 0 ->
			spool_faults--;
			goto next
		   }
		MAY_BE_KILLED
		od;
answer:
		if
		:: promised = promised | (1 << group)
		MAY_BE_KILLED
		fi;
next:
		atomic {
			group++;
			batch.groups = 0;
			batch.left = 0;
			batch.number[0] = 0;
			batch.number[CALLS - 1] = 0
		}
	od;
	goto stop;

killed:	/* Who was to be answered gets no 202. */
	atomic {
		close(c);
		unanswered = 0;
		failed = 0;
		call = 0;
		group++;
		batch.groups = 0;
		batch.left = 0;
		batch.number[0] = 0;
		batch.number[CALLS - 1] = 0
	}
	goto begin;

stop:	/* sink_retire: unless an old copy of a call may still come. */
	atomic {
		if
#ifdef ALWAYS_RETIRE
		:: true ->
#else
		:: !broken ->
#endif
			stored[KEY(batch.id, 0)] = 0;
			stored[KEY(batch.id, CALLS - 1)] = 0
#ifndef ALWAYS_RETIRE
		:: else
#endif
		fi;
		ended = true
	}
}

/* lib/commit/replay.c.  Killed, it begins again; the lease has died with it. */
proctype Replayer()
{
	Batch batch;
	byte sequence, unanswered, failed, call, done;
	byte c = NO_CONNECTION;
	byte r, tallies;
	byte own, latest;	/* Its writer, 0 if there is none yet. */
	byte was;		/* The id of the calls before they were sent. */
	bool broken, found;

end:
	atomic {
#ifdef NO_LEASE
		SPOOLED;
#else
		SPOOLED && !leased;
		leased = true;
#endif
		replaying++;
		/* Read any record of calls, or any of the tallies; what is
		 * passed over comes later. */
		r = 0;
		do
		:: r < GROUPS && kind[r] == SENT -> break
		:: r < GROUPS && kind[r] == TALLY ->
			tallies = tallies | (1 << r);
			r++
		:: r < GROUPS -> r++
		:: r == GROUPS -> break
		od;
		if
		:: r < GROUPS ->
			/* sink_load */
			tallies = 0;
			batch.id = record[r].id;
			batch.groups = record[r].groups;
			batch.left = record[r].left;
			batch.number[0] = record[r].number[0];
			batch.number[CALLS - 1] = record[r].number[CALLS - 1];
#ifdef RENUMBER
			if
			:: batch.number[0] > batch.number[CALLS - 1] ->
				sequence = batch.number[0]
			:: else -> sequence = batch.number[CALLS - 1]
			fi;
#endif
			goto calls
		:: r == GROUPS && tallies != 0 -> goto merge
		:: r == GROUPS && tallies == 0 -> goto release
		fi
	}

merge:	/* take_cells: their sum, as calls of this replayer's writer. */
	atomic {
#ifndef TAKE_UNSETTLED
		r = 0;
		do
		:: r == GROUPS -> break
		:: r < GROUPS && kind[r] == SENT && record[r].id == own &&
		    own != 0 -> goto release
		:: else -> r++
		od;
#endif
		if
		:: own == 0 ->
			new_writer(batch);
			own = batch.id;
			latest = 0
		:: else -> batch.id = own
		fi;
		r = 0;
		do
		:: !(tallies & (1 << r)) -> r++
		:: else -> break
		od;
		batch.groups = tallies;
		batch.left = ALL_CALLS;
		latest++;
		batch.number[0] = latest;
#if defined(ONE_SLOT) && CALLS == 2
		latest++;
#endif
		batch.number[CALLS - 1] = latest
	}
#ifdef SEND_BEFORE_RECORD
	send(batch);
#endif
	if
	/* One transaction: the tallies go, the calls come. */
	:: d_step {
		call = 0;
		found = true;
		do
		:: call == GROUPS -> break
		:: call < GROUPS ->
			if
			:: (tallies & (1 << call)) && kind[call] != TALLY ->
				found = false
			:: else
			fi;
			call++
		od;
		call = 0;
		if
#ifdef BLIND_REPLACE
		:: true ->
#else
		:: found ->
#endif
			do
			:: call == GROUPS -> break
			:: call < GROUPS ->
				if
				:: tallies & (1 << call) ->
					kind[call] = NOTHING
				:: else
				fi;
				call++
			od;
			if
			:: batch.left ->
				kind[r] = SENT;
				record[r].id = batch.id;
				record[r].groups = batch.groups;
				record[r].left = batch.left;
				record[r].number[0] = batch.number[0];
				record[r].number[CALLS - 1] = batch.number[CALLS - 1]
			:: else
			fi
#ifndef BLIND_REPLACE
		:: else			/* SPOOL_CHANGED */
#endif
		fi;
		call = 0
	   }
	MAY_BE_KILLED
	fi;
	goto release;

calls:	/* send_calls */
#ifdef REMOVE_BEFORE_DONE
	kind[r] = NOTHING;
#endif
	was = batch.id;
	send(batch);
	if
	/* settle_loaded: each call by itself; the others stay as they are, but
	 * for those that have got a new id. */
	:: d_step {
		if
#ifdef RENUMBER
		:: kind[r] == SENT && record[r].id == was ->
#else
		:: kind[r] == SENT && record[r].id == was &&
		    record[r].number[0] == batch.number[0] ->
#endif
			record[r].id = batch.id;
			record[r].left = record[r].left & batch.left;
#ifdef RENUMBER
			record[r].number[0] = batch.number[0];
			record[r].number[CALLS - 1] = batch.number[CALLS - 1];
#endif
			if
#ifdef SETTLE_ALL
			:: record[r].left != ALL_CALLS -> kind[r] = NOTHING
			:: else
#else
			:: record[r].left == 0 -> kind[r] = NOTHING
			:: else
#endif
			fi
		:: else
		fi
	   }
	MAY_BE_KILLED
	fi;
	goto release;

killed:
	atomic {
		own = 0;
		latest = 0
	}
release:
	atomic {
		close(c);
		unanswered = 0;
		failed = 0;
		call = 0;
		r = 0;
		tallies = 0;
		found = false;
		broken = false;
		sequence = 0;
		was = 0;
		batch.id = 0;
		batch.groups = 0;
		batch.left = 0;
		batch.number[0] = 0;
		batch.number[CALLS - 1] = 0;
		leased = false;
		replaying--
	}
	goto end
}

/* When all is quiet, what was promised is there. */
proctype Auditor()
{
	atomic {
		ended && !SPOOLED && replaying == 0 && waiting == 0;
		assert((applied[0] & promised) == promised);
		assert((applied[CALLS - 1] & promised) == promised)
	}
}

init {
	byte i;

	atomic {
		do
		:: i < CONNECTIONS ->
			run Server(i);
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < REPLAYERS ->
			run Replayer();
			i++
		:: else -> break
		od;
		i = 0;
		run Writer();
		run Auditor()
	}
}
