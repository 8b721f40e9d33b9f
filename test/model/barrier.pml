/*
 * The protocol at level `barrier`: one transaction, one message for its commit, and messages for its rollback.
 *
 * Each atomic block is one await of the protocol: one act of the database, of Redis, of the transport or of a process,
 * with all the ways in which it can end. Awaits between which nothing can be seen from outside share a block. Labels are
 * the steps' names: P of the producer, S of sweepers, C of consumers. There is no clock: what can become due is due at
 * any moment, so that the claims hold for every choice of deadlines and leases.
 *
 * Defined from outside: FAULTS, how many crashes, errors, lost replies, refusals and duplicates there are; INTENTS, the
 * largest number of messages for a rollback; PRODUCING, for the part up to the transport, or CONSUMING, for the part
 * after COMMIT, which are small enough for more faults; and the name of a mutant.
 */
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef INTENTS
#define INTENTS 2
#endif

/* One of the faults that are left happens. */
#define fault faults > 0 -> faults--
byte faults = FAULTS;

mtype:Verdict = { undecided, committed, rolledBack };
mtype:Result = { unsent, half, published, dead };
mtype:Sent = { accepted, later, refused };

/* The barrier's rows: the intent with what it holds, and the decision with what became of its delivery. */
bool intentRow;
byte holds;
mtype:Verdict verdict = undecided;
byte carries;
mtype:Result result = unsent;
bit epoch;
bool settled;
/* The user's transaction has inserted its row and has not ended. Its COMMIT is on its way, and nobody waits for it. */
bool inserted;
bool inFlight;
/* The business data. */
bool work;

/*
 * Who has read the decision as it stands, one bit each: a change of the row takes the bits from all others. A change that
 * names the version that it was made from applies if and only if the bit is still there.
 */
#define PRODUCER 1
#define SWEEPER 2
#define AUDITOR 4
byte readers;
#define reads(who) readers = readers | who
#define forgets(who) readers = readers & (255 - who)
#define changes(who) readers = who
#ifdef BLIND_SETTLE
#define unchangedFor(who) true
#else
#define unchangedFor(who) ((readers & who) != 0)
#endif

/* Redis: the hint; whether an older Redis had one; the lease of the message; what a mutant remembers there. */
bool hint;
bool hadHint;
byte lease;
bool mark;

/* The transport, by epoch: what it ever took, what it is delivering, what it gave up. */
bool taken[2];
byte waiting[2];
bool deadLetter[2];
bool compensated;

/* The consumers' database: done messages by key, and who has inserted that row and not committed yet. */
bool inboxRow[2];
byte inboxTx;
#ifdef TRANSPORT_ID_AS_KEY
#define key(e) e
#else
#define key(e) 0
#endif
/* Both consumers are alike: the second one takes what the first one cannot. */
bool firstIsBusy;

/* What only the claims look at: how many messages for a rollback the handler was told of; how often the effect was. */
byte told;
byte effects;

/* The claims of safety. The assertion that fails names its claim. */
hidden byte publishedOnlyAfterCommit;
hidden byte neverBothDirections;
hidden byte decisionNeverChanges;
hidden byte onlyAnIntentIsRolledBack;
hidden byte decisionHoldsAllThatWasKept;
hidden byte lateWorkIsUndone;
hidden byte settledMeansAcceptedOrDead;
hidden byte effectHappensOnce;

inline claim(name, holdsNow) {
  name = (holdsNow);
  assert(name)
}

/* The claims of liveness: from some moment on they hold for good. Faults come to an end; fairness is weak. */
#define visiblyDead (result == dead && settled)
ltl committedIsDoneOrDead { <>[] (verdict != committed || effects == 1 || visiblyDead) }
ltl intentIsDecidedAndCarriedOut {
  <>[] (!intentRow || verdict == committed || (verdict == rolledBack && (compensated || carries == 0 || visiblyDead)))
}
ltl everyRowIsSettled { <>[] ((verdict == undecided && !intentRow) || (verdict != undecided && settled)) }

/* Writes the decision row. */
inline decide(v, messages) {
  claim(decisionNeverChanges, verdict == undecided || verdict == v);
  claim(onlyAnIntentIsRolledBack, v == committed || intentRow);
  verdict = v;
  carries = messages;
  result = unsent;
  settled = false;
  claim(decisionHoldsAllThatWasKept, v == committed || told <= carries);
  told = (v == committed -> 0 : told);
  holds = 0
}

/* The COMMIT of the user's transaction: its business data and its row, or neither. */
inline commit() {
  inserted = false;
  decide(committed, 1);
  work = true;
  claim(lateWorkIsUndone, verdict == committed)
}

/* The transport takes a delivery over. Within its window it knows its own earlier copy; beyond that there are two. */
inline take(v, e) {
  if
  :: v == committed ->
     claim(publishedOnlyAfterCommit, verdict == committed && work);
     if
#ifdef PRODUCING
     :: taken[e] = true; effects = 1
#else
     :: !taken[e] -> taken[e] = true; waiting[e]++
     :: taken[e] -> skip
     :: taken[e] && faults > 0 -> faults--; waiting[e]++
#endif
     fi
  :: v == rolledBack -> compensated = true
  :: else -> skip
  fi;
  claim(neverBothDirections, !((taken[0] || taken[1]) && compensated))
}

/* Hands what a decision sends to the transport. */
inline publish(v, e, sent) {
  if
  :: v == rolledBack && verdict == rolledBack && carries == 0 -> sent = accepted
  :: else ->
     if
     :: take(v, e); sent = accepted
     :: fault; take(v, e); sent = later /* taken, and the reply was lost */
     :: fault; sent = later /* 429, 5xx, no answer */
#ifdef PUBLISH_FAILURE_SWALLOWED
     :: fault; sent = accepted
#endif
     :: fault; sent = refused
     fi
  fi
}

/* Writes what became of a delivery into its row, if it is still that epoch of it which waits for that. */
inline settle(who, e, sent) {
#ifdef BLIND_SETTLE
  if
  :: sent == later -> skip
  :: sent == accepted -> epoch = e; result = published; settled = true
  :: sent == refused -> epoch = e; result = dead; settled = true
  fi;
#else
  if
  :: epoch != e || sent == later -> skip
  :: else -> result = (sent == accepted -> published : dead); settled = true
  fi;
#endif
  changes(who);
  claim(settledMeansAcceptedOrDead, !settled || result == dead || (verdict == committed && taken[epoch])
    || (verdict == rolledBack && (compensated || carries == 0)))
}

/* The request ends, or its process dies; then its connection breaks, and what was not committed is undone. */
inline ends() {
  inserted = inserted && inFlight; v = undecided; sent = later; forgets(PRODUCER); goto P12_done
}

/* The request. */
proctype Producer() {
  mtype:Verdict v = undecided;
  mtype:Sent sent = later;

#ifdef CONSUMING
  atomic { commit(); v = committed; changes(PRODUCER); goto P9_publish }
#endif
P1_id:
P2_hint: /* written beside the SQL work and never awaited: it may never come */
  atomic {
    if
    :: hint = true; hadHint = true
    :: skip
    fi
  }
P2_prepare: /* at `barrier`, the intent: each message for a rollback, before the participant is called */
  atomic {
    if
    :: told == INTENTS -> goto P4_barrierRow
    :: told < INTENTS -> goto P4_barrierRow
    :: told < INTENTS && verdict == undecided ->
       intentRow = true; holds = told + 1;
       if
       :: told++; goto P2_prepare
       :: fault; goto P8_decide /* the reply was lost: refused to the handler, who gives up */
       fi
    :: told < INTENTS && faults > 0 -> faults--; goto P8_decide
    :: told < INTENTS && told > 0 && faults > 0 -> faults--; ends()
    :: told < INTENTS && verdict != undecided ->
#ifdef NO_INTENT_LOCK
       /* It had looked for a decision before, in another transaction. */
       if
       :: told++; claim(decisionHoldsAllThatWasKept, verdict == committed || told <= carries)
       :: skip
       fi;
#endif
       goto P8_decide /* a typed error: the participant is not called */
    fi
  }
P3_begin:
P5_businessSql: /* which nobody sees yet */
P4_barrierRow: /* the last statement: a plain INSERT under the unique key */
  atomic {
    if
#ifdef NO_UNIQUE_KEY
    :: inserted = true
#else
    :: verdict == undecided -> inserted = true
    :: verdict != undecided ->
#ifdef LATE_ERROR_SWALLOWED
       work = true; /* the transaction commits without its row */
#endif
       claim(lateWorkIsUndone, !work);
       claim(onlyAnIntentIsRolledBack, intentRow);
       ends()
#endif
    :: fault; goto P8_decide /* a statement fails, or the handler throws: certainly rolled back */
    :: fault; ends()
    fi
  }
#ifdef PUBLISH_BEFORE_COMMIT
P9_publishEarly:
  atomic { publish(committed, 0, sent) }
#endif
P6_commit:
  atomic {
    if
    :: commit(); v = committed; changes(PRODUCER);
#ifdef STATUS_AS_TRUTH_ROLLS_BACK
       if
       :: skip
       :: intentRow -> v = rolledBack /* P7: the handler throws after its COMMIT, and the answer is 500 */
       fi;
#endif
       goto P9_publish
    :: fault; commit(); changes(0); goto P7_handlerReturns
    :: fault; inFlight = true; goto P7_handlerReturns
    :: fault; inserted = false; goto P8_decide
    :: fault; ends()
    fi
  }
P7_handlerReturns: /* the outcome is unknown: looked at again as soon as the database answers, or left to the sweep */
  atomic {
    if
    :: ends()
    :: verdict != undecided && !settled -> v = verdict; reads(PRODUCER); goto P9_publish
#ifdef ROLLBACK_AFTER_UNKNOWN
    :: verdict == undecided && intentRow -> v = rolledBack; goto P9_publish
#endif
    fi
  }
P8_decide: /* nothing was committed. With an intent, the request rolls back as a check-back would */
  atomic {
    if
#ifdef STATUS_AS_TRUTH_COMMITS
    :: v = committed; goto P9_publish /* P7: the handler swallowed the failure, and answers 200 */
#endif
    :: fault; ends()
    :: !intentRow -> ends()
    :: intentRow && verdict == undecided ->
       decide(rolledBack, told); /* what was refused to the handler is taken out */
       v = rolledBack; changes(PRODUCER)
    :: intentRow && verdict != undecided ->
       if
       :: settled -> ends()
       :: !settled -> v = verdict; reads(PRODUCER)
       fi
    fi
  }
P9_publish: /* P11: the body streams meanwhile, and nothing depends on it */
#ifdef SETTLE_BEFORE_PUBLISH
  atomic { settle(PRODUCER, 0, accepted) }
#endif
  atomic {
    if
    :: publish(v, 0, sent)
    :: fault; ends()
    fi
  }
P10_settle:
  atomic {
    if
    :: verdict != v || settled -> skip
    :: verdict == v && !settled && unchangedFor(PRODUCER) -> settle(PRODUCER, 0, sent)
    :: verdict == v && !settled && !unchangedFor(PRODUCER) -> reads(PRODUCER); goto P10_settle
    :: fault; ends()
    fi;
    if
    :: settled -> hint = false
    :: skip
    fi;
    ends()
  }
P12_done:
  skip
}

/* Ends a COMMIT that was on its way when its connection broke. */
proctype Database() {
end:
  atomic {
    inFlight -> inFlight = false;
    if
    :: commit(); changes(0)
    :: inserted = false
    fi
  }
}

/* A sweeper is done with what it took, or dies and begins anew. */
inline rests() {
  v = undecided; sent = later; e = 0; byHint = false; forgets(me); goto S1_due
}

/* A sweeper: follows hints, and audits the rows whatever Redis says of them. After a crash it begins anew. */
proctype Sweeper(byte me; bool followsHints) {
  mtype:Verdict v = undecided;
  mtype:Sent sent = later;
  bit e;
  bool byHint;
#ifdef NO_INTENT_LOCK
  byte n;
#endif

end:
S1_due:
  atomic {
    if
    :: followsHints && hint ->
       if
       :: verdict != undecided && settled -> hint = false; goto S1_due
       :: verdict != undecided && !settled -> byHint = true; v = verdict; e = epoch; reads(me); goto S5_publish
       :: verdict == undecided && intentRow -> byHint = true; goto S3_checkBack
       :: verdict == undecided && !intentRow -> /* nothing is decided by absence: looked at again, and then dropped */
          if
          :: skip
          :: hint = false
#ifdef HINT_ABSENCE_ROLLS_BACK
          :: !inserted -> decide(rolledBack, 0)
#endif
          fi;
          goto S1_due
       fi
#ifndef NO_AUDIT
    /* S1b, the unsettled rows, and S2, the lease: one act, which makes a new version. */
#ifdef PAYLOAD_IN_REDIS
    :: verdict != undecided && !settled && hint -> v = verdict; e = epoch; changes(me); goto S5_publish
#else
    :: verdict != undecided && !settled -> v = verdict; e = epoch; changes(me); goto S5_publish
#endif
    :: verdict == undecided && intentRow -> goto S3_checkBack
#endif
    :: else -> goto S1_due /* nothing is due; without this, a model that is stuck would have no fair run that shows it */
    fi
  }
S3_checkBack: /* takes the intent's lock, and waits for a row that is being committed */
#ifdef NO_INTENT_LOCK
  atomic { n = holds }
#endif
S4_decide: /* in the same act: the decision holds all that the intent holds, and nothing is added to it any more */
  atomic {
    if
    :: fault; rests()
#ifdef NO_MARKER_ROW
    :: verdict == undecided -> v = rolledBack; goto S5_publish
#endif
#ifndef NO_UNIQUE_KEY
    :: verdict == undecided && inserted -> rests() /* a lock timeout: not known yet */
    :: verdict == undecided && !inserted -> skip
#else
    :: verdict == undecided -> skip
#endif
    :: verdict != undecided && settled -> rests()
    :: verdict != undecided && !settled -> v = verdict; e = epoch; reads(me); goto S5_publish
    fi;
#ifdef NO_INTENT_LOCK
    decide(rolledBack, n);
#else
    decide(rolledBack, holds);
#endif
    v = rolledBack; changes(me)
  }
S5_publish:
#ifdef SETTLE_BEFORE_PUBLISH
  atomic { settle(me, e, accepted) }
#endif
  atomic {
    if
    :: publish(v, e, sent)
    :: fault; rests()
    fi
  }
S6_settle:
  atomic {
    if
    :: verdict != v || settled -> skip
    :: verdict == v && !settled && unchangedFor(me) -> settle(me, e, sent)
    :: verdict == v && !settled && !unchangedFor(me) -> reads(me); goto S6_settle
    :: fault; rests()
    fi;
    if
    :: byHint && settled -> hint = false
    :: else -> skip
    fi;
    rests()
  }
}

/* A consumer with `message.run` leaves an attempt, and is ready for the next. */
inline leaves() {
  e = 0; firstIsBusy = (me == 1 -> false : firstIsBusy); goto C1_receive
}

/* 5xx, or no answer: retried, or the retries are used up. */
inline fails() {
  if
  :: waiting[e]++
  :: deadLetter[e] = true
  fi;
  leaves()
}

/* A consumer with `message.run`: one attempt of the transport after the other. */
proctype Consumer(byte me) {
  bit e;

end:
C1_receive: /* C2, the body, and C3, the signature, touch nothing that others see */
C4_claim:
  atomic {
    if
    :: waiting[0] > 0 && (me == 1 || firstIsBusy) -> e = 0
    :: waiting[1] > 0 && (me == 1 || firstIsBusy) -> e = 1
    fi;
    if
    :: waiting[e]--
    :: fault /* delivered twice */
    fi;
    if
    :: fault; fails()
#ifdef LEASE_ONLY
    :: mark -> leaves()
    :: !mark && lease != 0 -> fails()
    :: !mark && lease == 0 -> lease = me
#else
    :: inboxRow[key(e)] -> leaves()
    :: !inboxRow[key(e)] && lease != 0 -> fails() /* 503, busy */
    :: !inboxRow[key(e)] && lease == 0 -> lease = me
    :: !inboxRow[key(e)] && lease == 0 && faults > 0 -> faults--; lease = me; fails()
#endif
    fi;
    firstIsBusy = (me == 1 -> true : firstIsBusy)
  }
#if !defined(LEASE_ONLY) && !defined(NO_INBOX_ROW)
C5_inboxRow: /* the INSERT waits for another's that is not committed */
  atomic {
    if
    :: inboxTx == 0 && inboxRow[key(e)] -> goto C8_complete /* done before */
    :: inboxTx == 0 && !inboxRow[key(e)] -> inboxTx = me
    :: fault; fails()
    fi
#ifdef DONE_BEFORE_EFFECT
    ; inboxTx = 0; inboxRow[key(e)] = true
#endif
  }
#endif
C6_effect: /* the handler's SQL, which nobody sees yet */
C7_commit:
  atomic {
    if
    :: skip
    :: fault; inboxTx = 0; lease = (lease == me -> 0 : lease); fails() /* the handler throws */
    :: fault; inboxTx = 0; fails() /* it dies, and its lease lapses */
    fi;
    inboxTx = 0;
#if !defined(LEASE_ONLY) && !defined(NO_INBOX_ROW)
    inboxRow[key(e)] = true;
#endif
    effects++;
    claim(effectHappensOnce, effects <= 1);
    if
    :: skip
    :: fault; fails() /* committed, and the reply was lost */
    fi
  }
C8_complete: /* tells the inbox, so that it can answer the next duplicate sooner */
C9_answers:
  atomic {
#ifdef LEASE_ONLY
    mark = true;
#endif
    lease = (lease == me -> 0 : lease);
    if
    :: leaves()
    :: fault; fails()
    fi
  }
}

/*
 * C10: the failure route, which the transport calls, or the audit, which lists its dead letters. Its change is made anew
 * from what stands there until it applies: one act. Whether the message is done it has asked some time before.
 */
proctype FailureRoute() {
  bit e;

end:
C10_bury:
  atomic {
    if
    :: deadLetter[0] -> e = 0
    :: deadLetter[1] -> e = 1
    fi;
    deadLetter[e] = false;
    if
    :: e == epoch -> result = dead; settled = true; changes(0)
    :: e != epoch -> skip /* a report of an epoch that was redriven meanwhile */
    :: inboxRow[key(e)] -> skip /* done after all */
#ifdef DEAD_LETTER_FORGOTTEN
    :: skip
#endif
    fi;
    e = 0;
    goto C10_bury
  }
}

/* A person redrives a dead delivery, once: the new epoch is in the row first. What follows, a sweeper does as well. */
proctype Person() {
end:
redrive:
  atomic { visiblyDead -> result = half; epoch = 1; settled = false; changes(0) }
}

/* Redis: a lease lapses whenever it likes, for its holder may be dead or slow. One failover: it is older or empty. */
proctype Redis() {
#ifdef CONSUMING
  bool failedOver = true; /* no hint is left */
#else
  bool failedOver;
#endif

end:
  do
#ifndef NO_LAPSE
  :: atomic { lease != 0 -> lease = 0 }
#endif
  :: atomic {
       !failedOver -> failedOver = true;
       lease = 0;
       mark = false;
       if
       :: hint = false
       :: hadHint -> hint = true
       fi;
       hadHint = false
     }
  od
}

init {
  atomic {
#ifndef PRODUCING
    run Person();
    run FailureRoute();
    run Consumer(1);
    run Consumer(2);
#endif
#ifndef CONSUMING
    run Database();
#endif
    run Redis();
    run Producer();
    run Sweeper(SWEEPER, true);
    run Sweeper(AUDITOR, false)
  }
}
