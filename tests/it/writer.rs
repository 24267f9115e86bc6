//! The writer of `db`: every acknowledged command is there, once, whatever fails around it.
//!
//! Nothing here waits for a time. A command that is to be overtaken, interrupted or grouped stands at a [`Gate`] until the
//! test lets it through, and a full queue says by `busy` that everything else is in its place.

use crate::databases::{TestDb, on_both};
use crate::given::{self, Book, Dice, alice, assert_clean, book, inflow, post, transfer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::db::{self, Db, Fault, FaultPoint, Head, Options, Tx};
use tributary::error::{Error, Refusal as _, Result};
use tributary::ledger::{self, Refusal};

fn head(db: &Db) -> Head {
    db.read(db::head).expect("a head")
}

/// After which a failing test ends instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where commands stop on their way: each says its name and waits to be let through.
struct Gate {
    /// Names of commands in the order in which they run.
    arrived: Mutex<Receiver<&'static str>>,
    says: Sender<&'static str>,
    let_through: Sender<()>,
    waits: Arc<Mutex<Receiver<()>>>,
}

impl Gate {
    fn new() -> Gate {
        let ((says, arrived), (let_through, waits)) = (channel(), channel());
        Gate { arrived: Mutex::new(arrived), says, let_through, waits: Arc::new(Mutex::new(waits)) }
    }

    /// A command that stops here.
    fn stop(&self, name: &'static str) -> impl Fn(&mut Tx<'_>) -> Result<()> + Send + 'static {
        let (says, waits) = (self.says.clone(), Arc::clone(&self.waits));
        move |_| {
            says.send(name).expect("the test listens");
            // Only a test that has failed already does not open.
            waits.lock().expect("one at a time").recv_timeout(PATIENCE).expect("the test opens");
            Ok(())
        }
    }

    /// The next command to arrive has this name; it stays.
    #[track_caller]
    fn expect(&self, name: &str) {
        let arrived = self.arrived.lock().expect("one test").recv_timeout(PATIENCE);
        assert_eq!(arrived.expect("a command comes"), name);
    }

    fn open(&self) {
        self.let_through.send(()).expect("a command waits");
    }
}

/// A database whose lanes hold this many commands.
fn narrow(test: &TestDb, queue_items: usize) -> Db {
    test.open(Options { queue_items, ..Options::default() })
}

/// Runs `command` in `lane` from as many threads as it takes until one is told `busy`: then the lane is full.
fn fill<'s>(scope: &'s std::thread::Scope<'s, '_>, count: usize, ask: impl Fn() -> Result<()> + Send + Sync + 's) {
    let (tell, busy) = channel();
    let ask = Arc::new(ask);
    for _ in 0..=count {
        let (tell, ask) = (tell.clone(), Arc::clone(&ask));
        scope.spawn(move || match ask() {
            Err(no @ Error::Busy(_)) => tell.send(no.to_string()).expect("the test listens"),
            answer => answer.expect("it waited, then ran"),
        });
    }
    let no = busy.recv().expect("one too many");
    assert!(no.contains("try again"), "{no}");
}

#[test]
fn commands_that_wait_together_share_one_seal() {
    on_both(|test| {
        let db = narrow(test, 40);
        let book = book(&db, "b", 1);
        let gate = Gate::new();
        let next = AtomicUsize::new(0);
        let before = head(&db);
        std::thread::scope(|scope| {
            scope.spawn(|| db.write("gate", &alice(), gate.stop("first")));
            gate.expect("first");
            fill(scope, 40, || {
                let cause = format!("{:03}", next.fetch_add(1, Ordering::SeqCst));
                post(&db, inflow(&book, 0, 1, &cause)).map(|posted| assert!(!posted.replayed))
            });
            gate.open();
        });
        let after = head(&db);
        assert_eq!((after.seal, after.entry), (before.seal + 1, before.entry + 40));
        assert_clean(&db);
    });
}

#[test]
fn a_refused_item_is_answered_alone_and_leaves_only_its_event() {
    on_both(|test| {
        let db = test.open(Options::default());
        let book = book(&db, "b", 2);
        let before = head(&db);
        let items = vec![
            inflow(&book, 0, 500, "a"),
            transfer(&book, 0, 1, 501, "b"),
            transfer(&book, 0, 1, 200, "c"),
            given::entry("d", ledger::Basis::Fact, &[(book.master, 1)]),
            transfer(&book, 1, 0, 200, "e"),
        ];
        let answers = ledger::post(&db, &alice(), items).expect("answers");
        let codes: Vec<&str> = answers.iter().map(|a| a.as_ref().map_or_else(Error::code, |_| "ok")).collect();
        assert_eq!(codes, ["ok", "insufficient_funds", "ok", "unbalanced", "ok"]);
        let after = head(&db);
        // Three entries in one range, and an event for each refusal.
        assert_eq!((after.entry, after.event, after.seal), (before.entry + 3, before.event + 3, before.seal + 1));
        let refused = given::texts(
            &test.url,
            "SELECT subject AS value FROM events WHERE kind = 'ledger.refused' ORDER BY number",
        );
        assert_eq!(refused, ["test:b:0", "test:d:0"]);
        assert_clean(&db);
    });
}

#[test]
fn a_command_that_refuses_after_writing_leaves_only_that_it_was_refused() {
    on_both(|test| {
        let db = test.open(Options::default());
        let book = book(&db, "b", 2);
        post(&db, inflow(&book, 0, 500, "a")).expect("posted");
        let before = head(&db);
        let (moved, of) = (transfer(&book, 0, 1, 300, "moved"), book.clone());
        let no: Result<()> = db.write("test.change_of_mind", &alice(), move |tx| {
            ledger::open_book(tx, "another", "memo", "EUR")?;
            ledger::post_one(tx, moved.clone())?;
            ledger::post_one(tx, transfer(&of, 0, 1, 300, "too much"))?;
            Ok(())
        });
        assert_eq!(no.expect_err("refused").code(), "insufficient_funds");
        let after = head(&db);
        assert_eq!((after.entry, after.event), (before.entry, before.event + 1));
        let refusal = "SELECT subject || ' ' || actor AS value FROM events WHERE kind = 'command.refused'";
        assert_eq!(given::texts(&test.url, refusal), ["test.change_of_mind operator:alice"]);
        assert_eq!(given::number(&test.url, "SELECT count(*) AS value FROM books"), 1);
        // The number that was undone is given to the next entry.
        assert_eq!(post(&db, transfer(&book, 0, 1, 1, "next")).expect("posted").number, before.entry + 1);
        assert_clean(&db);
    });
}

/// Fails at one point, as often as it is told to, and counts how many transactions began.
#[derive(Default)]
struct Saboteur {
    plan: Mutex<Option<(FaultPoint, Fault, usize)>>,
    began: AtomicUsize,
}

impl Saboteur {
    fn options(self: &Arc<Self>) -> Options {
        let saboteur = Arc::clone(self);
        let faults = move |point| {
            if point == FaultPoint::AfterBegin {
                saboteur.began.fetch_add(1, Ordering::SeqCst);
            }
            // A panic below must not poison the plan.
            let mut plan = saboteur.plan.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let (at, fault, left) = plan.as_mut()?;
            if *at != point || *left == 0 {
                return None;
            }
            *left -= 1;
            Some(*fault)
        };
        Options { faults: Some(Arc::new(faults)), queue_items: 8, ..Options::default() }
    }

    fn plan(&self, point: FaultPoint, fault: Fault, times: usize) {
        *self.plan.lock().expect("no panic while planning") = Some((point, fault, times));
    }
}

const FAULTS: [Fault; 2] = [Fault::Error, Fault::Panic];

#[test]
fn a_commit_that_fails_once_takes_effect_exactly_once() {
    on_both(|test| {
        let saboteur = Arc::new(Saboteur::default());
        let db = test.open(saboteur.options());
        let book = book(&db, "b", 2);
        post(&db, inflow(&book, 0, 1_000_000, "start")).expect("posted");
        let mut cause = 0;
        for point in [FaultPoint::AfterBegin, FaultPoint::BeforeCommit, FaultPoint::AfterCommit] {
            for fault in FAULTS {
                cause += 1;
                let before = head(&db);
                saboteur.plan(point, fault, 1);
                let refused = transfer(&book, 1, 0, i64::MAX / 2, &format!("{cause} no"));
                let items = vec![transfer(&book, 0, 1, 10, &format!("{cause} yes")), refused];
                let answers = ledger::post(&db, &alice(), items).expect("answers");
                let shown = format!("{point:?} {fault:?}: {answers:?}");
                assert!(answers[0].as_ref().is_ok_and(|p| p.number == before.entry + 1 && !p.replayed), "{shown}");
                assert!(answers[1].as_ref().is_err_and(|no| no.code() == "insufficient_funds"), "{shown}");
                assert_eq!(head(&db).seal, before.seal + 1, "{shown}");
                saboteur.plan(point, fault, 1);
                let of = book.clone();
                let key = format!("{cause} command");
                let command = move |tx: &mut Tx<'_>| ledger::post_one(tx, transfer(&of, 0, 1, 10, &key));
                let posted = db.write("test.transfer", &alice(), command).expect("done");
                assert_eq!((posted.number, posted.replayed), (before.entry + 2, false), "{shown}");
                assert_eq!(head(&db).seal, before.seal + 2, "{shown}");
            }
        }
        let leaf = db.read(|conn| ledger::account(conn, "b/1")).expect("a leaf");
        assert_eq!(leaf.natural(), 120);
        assert_clean(&db);
    });
}

#[test]
fn a_database_that_keeps_failing_is_an_error_and_nothing_is_changed() {
    on_both(|test| {
        let saboteur = Arc::new(Saboteur::default());
        let db = test.open(saboteur.options());
        let book = book(&db, "b", 1);
        for (point, fault) in
            [FaultPoint::AfterBegin, FaultPoint::BeforeCommit].into_iter().flat_map(|p| FAULTS.map(|f| (p, f)))
        {
            let before = head(&db);
            saboteur.plan(point, fault, usize::MAX);
            let no = post(&db, inflow(&book, 0, 1, "again and again")).expect_err("it cannot work");
            assert_eq!(no.code(), "broken", "{no}");
            assert_eq!(head(&db), before);
        }
        // An error at every COMMIT is only ever an answer that went missing.
        saboteur.plan(FaultPoint::AfterCommit, Fault::Error, usize::MAX);
        post(&db, inflow(&book, 0, 1, "again and again")).expect("posted");
        assert_clean(&db);
    });
}

#[test]
fn a_command_that_panics_fails_alone() {
    on_both(|test| {
        let saboteur = Arc::new(Saboteur::default());
        let db = test.open(saboteur.options());
        let book = book(&db, "b", 1);
        let gate = Gate::new();
        let (before, began) = (head(&db), saboteur.began.load(Ordering::SeqCst));
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| db.write("gate", &alice(), gate.stop("first")));
            gate.expect("first");
            fill(scope, 8, || {
                let turn = next.fetch_add(1, Ordering::SeqCst);
                let entry = inflow(&book, 0, 1, &turn.to_string());
                let answer = db.write("test.maybe", &alice(), move |tx| {
                    let posted = ledger::post_one(tx, entry.clone())?;
                    assert!(turn != 3, "the third has a bug");
                    Ok(posted)
                });
                match answer {
                    Err(Error::Broken(text)) => {
                        assert_eq!((turn, text.contains("the third has a bug")), (3, true), "{turn}: {text}");
                        Ok(())
                    }
                    other => other.map(|_| ()),
                }
            });
            gate.open();
        });
        let entries = head(&db).entry - before.entry;
        // Nine asked and one of them was told that the queue is full, be it the third or another.
        assert!((7..=8).contains(&entries), "{entries}");
        // The gate, the group, and when the bug was in it each of the group alone.
        let began = saboteur.began.load(Ordering::SeqCst) - began;
        assert_eq!(began, if entries == 7 { 10 } else { 2 });
        assert_clean(&db);
    });
}

#[test]
fn a_full_queue_is_busy_and_interactive_work_goes_between_bulk_slices() {
    on_both(|test| {
        let db = narrow(test, 1);
        let gate = Gate::new();
        let interactive = |name| db.write(name, &alice(), gate.stop(name));
        let bulk = |name| db.write_slice(name, &alice(), gate.stop(name));
        std::thread::scope(|scope| {
            // Somebody waits while a bulk slice runs and another waits too: the person goes first.
            scope.spawn(|| bulk("bulk 1"));
            gate.expect("bulk 1");
            fill(scope, 1, || bulk("bulk 2"));
            fill(scope, 1, || interactive("person 1"));
            gate.open();
            gate.expect("person 1");
            // More people come all the time: after each group one slice has its turn.
            fill(scope, 1, || interactive("person 2"));
            gate.open();
            gate.expect("bulk 2");
            fill(scope, 1, || bulk("bulk 3"));
            gate.open();
            gate.expect("person 2");
            gate.open();
            gate.expect("bulk 3");
            fill(scope, 1, || bulk("bulk 4"));
            fill(scope, 1, || interactive("person 3"));
            gate.open();
            gate.expect("person 3");
            gate.open();
            gate.expect("bulk 4");
            gate.open();
        });
        assert_clean(&db);
    });
}

/// Everything at once, with faults at random moments: whatever was answered `Ok` is there once, and no number is missing.
#[test]
fn numbers_have_no_gap_through_random_faults() {
    on_both(|test| {
        let (dice, armed) = (Mutex::new(Dice::new(7)), Arc::new(AtomicUsize::new(0)));
        let faults = {
            let armed = Arc::clone(&armed);
            move |_| {
                let mut dice = dice.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                (dice.below(12) < armed.load(Ordering::SeqCst) as u64).then(|| *dice.pick(&FAULTS))
            }
        };
        let db = test.open(Options { faults: Some(Arc::new(faults)), ..Options::default() });
        let book = book(&db, "b", 3);
        armed.store(1, Ordering::SeqCst);
        let made: usize = std::thread::scope(|scope| {
            let start = |thread| {
                let (db, book) = (&db, &book);
                scope.spawn(move || busy_thread(db, book, thread))
            };
            let threads: Vec<_> = (0..4).map(start).collect();
            threads.into_iter().map(|t| t.join().expect("no panic")).sum()
        });
        let entries = given::number(&test.url, "SELECT count(*) AS value FROM entries");
        assert_eq!(usize::try_from(entries), Ok(made));
        assert_clean(&db);
    });
}

fn loop_until<A>(mut attempt: impl FnMut() -> Option<A>) -> A {
    loop {
        if let Some(done) = attempt() {
            return done;
        }
    }
}

/// Posts, transfers and commands that refuse; gives how many entries it was told of.
fn busy_thread(db: &Db, book: &Book, thread: usize) -> usize {
    let mut made = 0;
    for n in 0..30 {
        let cause = format!("{thread} {n}");
        let answer = loop_until(|| {
            let answer = match n % 3 {
                0 => post(db, inflow(book, thread % 3, 5, &cause)),
                1 => post(db, transfer(book, thread % 3, (thread + 1) % 3, 4, &cause)),
                _ => {
                    let (entry, no) = (inflow(book, 0, 3, &cause), Refusal::Empty);
                    let code = no.code();
                    let answer = db.write("test.no", &alice(), move |tx| {
                        ledger::post_one(tx, entry.clone())?;
                        Err::<ledger::Posted, _>(no.clone().into())
                    });
                    assert!(answer.as_ref().is_err_and(|e| e.code() == code || e.code() == "broken"), "{answer:?}");
                    answer
                }
            };
            // A fault is not an answer: ask again with the same cause.
            (!matches!(answer, Err(Error::Broken(_)))).then_some(answer)
        });
        made += usize::from(answer.is_ok());
    }
    made
}
