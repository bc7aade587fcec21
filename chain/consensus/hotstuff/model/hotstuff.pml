/*
 * The voting, locking and deciding rules of chain/consensus/hotstuff, in Promela.
 * `make model` checks with spin, over all executions of VIEWS views, that no two
 * decided blocks are on different branches.
 *
 * Four validators, of whom one lies: three honest ones are modelled. The liar
 * votes for everything, so two honest votes certify a block. It also stands for
 * every leader: in each view it proposes two blocks on any certified ones, and
 * shows each replica whichever it likes, or none. What honest leaders do is among
 * that. The network is all that may be late: a replica learns of certificates when
 * the adversary wants it to, and of a block's own certificate when it votes for it.
 *
 * Views follow one another. That loses nothing: a replica that has seen a
 * certificate of a view never votes in that view or an earlier one, so what it does
 * in a view depends on earlier views alone.
 *
 *   -DTWOPHASE   the rule of Jolteon instead of HotStuff's
 *   -DNOLOCK     broken: proposals are voted for whatever the replica is locked on
 *                (or, two-phase, whatever the timeout certificate proves)
 *   -DSHORT      broken: one phase less decides
 *   -DGAPS       broken: blocks of views that are not consecutive decide
 */
#ifndef VIEWS
#define VIEWS 6
#endif
#define HONEST 3
#define QUORUM 2 /* honest votes; the liar adds its own */

bit certified[VIEWS + 1]; /* whether a block of the view has a certificate */
byte parent[VIEWS + 1];   /* the view of that block's parent */
byte mark[HONEST];        /* three-phase: the lock's view; two-phase: the highest certificate's */
byte final;               /* the view of the last block that was decided */

/* The first proposal of a view and the second: the views of their parents. */
byte on[2];
byte votes[2];

#define RAISE(i, to) if :: (to) > mark[i] -> mark[i] = (to) :: else fi

#ifdef TWOPHASE
#define LEARN(i, qc) RAISE(i, qc)
#else
#define LEARN(i, qc) RAISE(i, parent[qc])
#endif

#if defined(NOLOCK)
#define SAFE(i, qc) true
#elif defined(TWOPHASE)
#define SAFE(i, qc) ((qc) + 1 == v || (qc) >= proven)
#else
#define SAFE(i, qc) ((qc) >= mark[i])
#endif

/* any picks the view of a certified block before v. */
inline any(view) {
	view = 0;
	do
	:: view + 1 < v -> view++
	:: certified[view] -> break
	od
}

/* A timeout certificate holds the highest certificates of two honest replicas; the
 * adversary picks those two that prove least: the middle one of three. */
inline prove() {
	d_step {
		proven = mark[0];
		if
		:: mark[0] <= mark[1] && mark[1] <= mark[2] -> proven = mark[1]
		:: mark[2] <= mark[1] && mark[1] <= mark[0] -> proven = mark[1]
		:: mark[0] <= mark[2] && mark[2] <= mark[1] -> proven = mark[2]
		:: mark[1] <= mark[2] && mark[2] <= mark[0] -> proven = mark[2]
		:: else
		fi
	}
}

/* decide marks a block decided: it and the one decided before are on one branch. */
inline decide(block) {
	d_step {
		low = final; high = block;
		if :: high < low -> low = block; high = final :: else fi;
		at = high;
		do
		:: at > low -> at = parent[at]
		:: else -> break
		od;
		assert(at == low);
		final = high;
		low = 0; high = 0; at = 0
	}
}

#ifdef GAPS
#define FOLLOWS(a, b) true
#else
#define FOLLOWS(a, b) ((a) == (b) + 1)
#endif

/* conclude decides what the certificate of view v makes final. */
inline conclude() {
	mid = parent[v];
#if defined(TWOPHASE) && defined(SHORT)
	decide(v);
#elif defined(TWOPHASE) || defined(SHORT)
	if :: mid > 0 && FOLLOWS(v, mid) -> decide(mid) :: else fi;
#else
	if
	:: mid > 0 && parent[mid] > 0 && FOLLOWS(v, mid) && FOLLOWS(mid, parent[mid]) -> decide(parent[mid])
	:: else
	fi;
#endif
	mid = 0
}

active proctype network() {
	byte v = 1, i, qc, low, high, at, mid, proven;
	certified[0] = 1; /* the genesis block */
	do
	:: v > VIEWS -> break
	:: else ->
		atomic {
			prove();
			any(on[0]);
			any(on[1]);
		}
		i = 0;
		do
		:: i == HONEST -> break
		:: else ->
			atomic {
				any(qc);
				LEARN(i, qc);
				if
				:: SAFE(i, on[0]) -> votes[0]++; LEARN(i, on[0])
				:: SAFE(i, on[1]) -> votes[1]++; LEARN(i, on[1])
				:: true
				fi;
				qc = 0;
				i++
			}
		od;
		atomic {
			i = 0;
			assert(!(votes[0] >= QUORUM && votes[1] >= QUORUM));
			if
			:: votes[0] >= QUORUM -> certified[v] = 1; parent[v] = on[0]; conclude()
			:: votes[1] >= QUORUM -> certified[v] = 1; parent[v] = on[1]; conclude()
			:: else
			fi;
			votes[0] = 0; votes[1] = 0; on[0] = 0; on[1] = 0; proven = 0;
			v++
		}
	od
}
