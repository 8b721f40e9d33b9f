/*
 * The protocol at the levels `checked` and `marked`: one transaction with one message for its commit and one for its
 * rollback, half messages and the decision in the log. Read it beside barrier.pml, whose conventions it shares.
 *
 * What these levels leave open is left out: the log loses nothing, and a status does not lie in the way that the level
 * believes it. A commit that comes after two spaced "no", in a process that then dies or is not told of the decision, is
 * told apart (`unseen`).
 *
 * Defined from outside: FAULTS; MARKED, for that level; and the name of a mutant.
 */
#ifndef FAULTS
#define FAULTS 2
#endif
#define CHECK_ATTEMPTS 2

#define fault faults > 0 -> faults--
byte faults = FAULTS;

mtype:Verdict = { undecided, committed, rolledBack };

/* The log: half messages, due until they are settled or held; whose claim holds; whether the check has said "no". */
bool prepared;
bool settled;
bool held;
byte holder;
bool doubted;
byte attempts;
mtype:Verdict decision = undecided;
hidden byte before;
/* A letter for a person: the handler succeeded after the transaction had been rolled back. */
bool conflict;

/* The business data; whether whoever may still write it has ended. */
bool work;
bool handlerEnded;

/* What the transport took. */
bool sentCommit;
bool sentRollback;

/* What only the claims look at: a handler that outlasts deadline and spacing; one who is not told; what was refused. */
bool stalled;
bool unseen;
bool refused;

hidden byte decisionNeverChanges;
hidden byte publishedOnlyAfterDecision;
hidden byte neverBothDirections;
hidden byte committedWorkIsNotRolledBack;
hidden byte settledMeansCarriedOut;

inline claim(name, holdsNow) {
  name = (holdsNow);
  assert(name)
}

#define isSent ((decision == committed && sentCommit) || (decision == rolledBack && sentRollback))
#define carriedOut (settled && (refused || isSent))
#define waitsForPerson (held && !settled)
ltl preparedIsDecidedOrHeld { <>[] (!prepared || refused || decision != undecided || waitsForPerson) }
ltl decidedIsCarriedOutOrHeld { <>[] (!prepared || decision == undecided || carriedOut || waitsForPerson) }
ltl conflictIsKept { <>[] (!(work && prepared && decision == rolledBack) || conflict || unseen) }

/* P8, S4: the decision, once: the one in force comes back. */
inline decide(wanted, inForce) {
  before = decision;
#ifdef NO_COMPARE_AND_SET
  decision = wanted;
#else
  decision = (decision == undecided -> wanted : decision);
#endif
  claim(decisionNeverChanges, before == undecided || before == decision);
  claim(committedWorkIsNotRolledBack, !(decision == rolledBack && work) || stalled);
#ifdef OWN_VERDICT
  inForce = wanted
#else
  inForce = decision
#endif
}

/* P9, S5. */
inline carryOut(verdict) {
  claim(publishedOnlyAfterDecision, verdict == decision);
  sentCommit = sentCommit || verdict == committed;
  sentRollback = sentRollback || verdict == rolledBack;
  claim(neverBothDirections, !(sentCommit && sentRollback))
}

/* P10, S6: what was carried out leaves the log. */
inline settle() {
  settled = true; held = false; doubted = false; attempts = 0;
  claim(settledMeansCarriedOut, carriedOut)
}

/* The request ends. */
inline ends() {
  handlerEnded = true; success = false; v = undecided; goto P12_done
}

/* Its process dies, or it is not told of the decision: then it cannot see that another decided otherwise. */
inline diesOrIsNotTold() {
  unseen = work && stalled && decision != committed && !conflict;
  ends()
}

/* The request. */
proctype Producer() {
  mtype:Verdict v = undecided;
  bool success;

P1_id:
P2_prepare:
  atomic {
    if
    :: prepared = true
    :: fault; prepared = true; goto P8_drop /* the reply was lost: refused to the handler, who gives up */
    :: fault; prepared = true; ends()
    :: fault; diesOrIsNotTold()
    fi
  }
P3_begin:
P5_businessSql:
P6_commit: /* in a transaction of the user's own, of which this library knows nothing */
  atomic {
    if
    :: true ->
       claim(committedWorkIsNotRolledBack, decision != rolledBack || stalled);
       work = true;
       if
       :: success = true
#ifndef MARKED
       :: skip /* it throws after its commit, or the reply to COMMIT was lost: at `marked`, a status that lies */
#endif
       :: fault; diesOrIsNotTold()
       fi
    :: skip /* it fails */
    :: fault; diesOrIsNotTold()
    fi
  }
P7_handlerReturns:
P8_decide: /* by the status before the response; at `checked`, a failure by the check after it, whose one answer counts */
  atomic {
    handlerEnded = true;
    if
    :: success -> decide(committed, v)
#if defined(MARKED) || defined(FAILURE_ROLLS_BACK)
    :: !success -> decide(rolledBack, v)
#else
    :: !success && work -> success = true; decide(committed, v)
    :: !success && !work -> decide(rolledBack, v)
#endif
    :: fault; diesOrIsNotTold() /* or the check gives no verdict, or the log no answer: recovery decides */
    fi;
    if
    :: skip
    :: fault; diesOrIsNotTold() /* decided, and the reply was lost */
    fi
  }
P9_publish:
#ifdef SETTLE_BEFORE_PUBLISH
  atomic { settle() }
#endif
  atomic {
    if
    :: skip
    :: fault; diesOrIsNotTold()
    fi;
#ifndef CONFLICT_IGNORED
    conflict = conflict || (success && v == rolledBack);
#endif
    if
    :: held = false /* what was held meanwhile is released */
    :: skip /* it had no reason to think so */
    fi;
    if
    :: !settled -> carryOut(v)
    :: settled -> goto P10_end
    fi
  }
P10_settle:
  atomic {
    if
    :: !held && !settled -> settle()
    :: held || settled -> skip
    :: fault
    fi
  }
P10_end:
  atomic { ends() }
P8_drop: /* what was refused to the handler leaves the log before there is a decision that could send it */
  atomic {
    handlerEnded = true;
    if
    :: decision == undecided && !settled -> refused = true; settled = true; held = false; doubted = false; attempts = 0
    :: decision != undecided || settled -> skip
    :: fault
    fi;
    ends()
  }
P12_done:
  skip
}

#define isDue (prepared && !settled && !held)

/* A sweeper is done with what it took, or dies and begins anew. */
inline rests() {
  v = undecided; wasDoubted = false; holder = (holder == me -> 0 : holder); goto S1_due
}

/* A sweeper. A claim that lapses under a slow one is the other's: what the slow one records is nothing then. */
proctype Sweeper(byte me) {
  mtype:Verdict v = undecided;
  bool wasDoubted;

end:
S1_due:
S2_lease: /* a record in doubt is due again only after a spacing in which a handler ends, unless it stalls */
  atomic {
    if
#ifndef NO_SWEEP
    :: isDue && holder == 0 && (!doubted || handlerEnded) -> skip
    :: isDue && holder == 0 && doubted && !handlerEnded && faults > 0 -> faults--; stalled = true
    :: isDue && holder != 0 && (!doubted || handlerEnded) && faults > 0 -> faults--
#endif
    :: else -> goto S1_due
    fi;
    holder = me;
    wasDoubted = doubted;
    if
    :: decision != undecided -> v = decision; goto S5_publish
    :: decision == undecided -> skip
    fi
  }
#ifdef MARKED
S3_hold: /* no check: a person decides. The log holds nothing that is decided by now */
  atomic {
    if
#ifdef ABSENCE_ROLLS_BACK
    :: decide(rolledBack, v); goto S5_publish
#else
    :: holder == me && decision == undecided && !settled -> held = true; rests()
#endif
    :: holder != me || decision != undecided || settled -> rests()
    :: fault; rests()
    fi
  }
#else
S3_checkBack: /* asks the check */
  atomic {
    if
    :: work -> v = committed
    :: !work -> v = rolledBack
    :: faults > 0 && attempts < CHECK_ATTEMPTS -> faults--; v = undecided
    :: fault; rests()
    fi;
#ifdef UNKNOWN_ROLLS_BACK
    v = (v == undecided -> rolledBack : v);
    wasDoubted = true;
#endif
#ifdef NO_IS_SAID_ONCE
    wasDoubted = true;
#endif
    if
    :: v == committed || (v == rolledBack && wasDoubted) -> goto S4_decide
    :: else -> skip
    fi
  }
S3_postpone: /* "no" is to be said twice, spaced; no verdict is asked for again, and held after the last attempt */
  atomic {
    if
    :: holder != me || settled || held -> skip
    :: holder == me && !settled && !held && v == rolledBack -> doubted = true
    :: holder == me && !settled && !held && v == undecided ->
       attempts++;
       if
       :: attempts < CHECK_ATTEMPTS || decision != undecided -> skip
#ifdef HELD_IS_DROPPED
       :: attempts == CHECK_ATTEMPTS && decision == undecided -> settle()
#else
       :: attempts == CHECK_ATTEMPTS && decision == undecided -> held = true
#endif
       fi
    :: fault
    fi;
    rests()
  }
S4_decide:
  atomic {
    if
    :: decide(v, v)
    :: fault; rests()
    fi
  }
#endif
S5_publish:
#ifdef SETTLE_BEFORE_PUBLISH
  atomic { settle() }
#endif
  atomic {
    if
    :: carryOut(v)
    :: fault; rests()
    fi
  }
S6_settle: /* a claim that has lapsed settles nothing */
  atomic {
    if
    :: holder == me && !settled && !held -> settle()
    :: holder != me || settled || held -> skip
    :: fault
    fi;
    rests()
  }
}

/* A person looks whether the work is there, once the request is over, and decides what is held. */
proctype Person() {
  mtype:Verdict v = undecided;

end:
decides:
  atomic {
    held && handlerEnded ->
    if
    :: work -> decide(committed, v)
    :: !work -> decide(rolledBack, v)
    fi;
    v = undecided;
    held = false
  }
}

init {
  atomic {
    run Person();
    run Producer();
    run Sweeper(1);
    run Sweeper(2)
  }
}
