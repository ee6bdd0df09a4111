//! Many who want the same slow thing at once get it together.
//!
//! Whoever finds the ferry at the bank sails it; those who come while it is away wait, and cross together when one of
//! them sails it next. Nobody is answered before the crossing that took him has landed. (Databases call it group commit:
//! DeWitt et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.)

use std::collections::HashMap;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Takes passengers across, and each gets an answer.
pub(super) struct Ferry<T, R> {
    bank: Mutex<Bank<T, R>>,
    landed: Condvar,
}

struct Bank<T, R> {
    waiting: Vec<(u64, T)>,
    /// `None` for those whose crossing never landed.
    answers: HashMap<u64, Option<R>>,
    tickets: u64,
    is_away: bool,
}

/// What there is to do for somebody who wants to cross.
pub(super) enum Turn<'a, T, R> {
    /// He has to sail, and takes the others with him.
    Sail(Crossing<'a, T, R>),
    /// Another one took him across.
    Answered(R),
    /// Another one took him and never landed.
    Lost,
}

/// The ferry while it is away.
pub(super) struct Crossing<'a, T, R> {
    ferry: &'a Ferry<T, R>,
    own: u64,
    aboard: Vec<u64>,
}

impl<T, R> Ferry<T, R> {
    pub(super) fn new() -> Self {
        Ferry {
            bank: Mutex::new(Bank {
                waiting: Vec::new(),
                answers: HashMap::new(),
                tickets: 0,
                is_away: false,
            }),
            landed: Condvar::new(),
        }
    }

    fn bank(&self) -> MutexGuard<'_, Bank<T, R>> {
        self.bank.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the passenger has been taken across, or until it is his turn to sail.
    pub(super) fn board(&self, passenger: T) -> Turn<'_, T, R> {
        let mut bank = self.bank();
        let own = bank.tickets;
        bank.tickets += 1;
        bank.waiting.push((own, passenger));
        loop {
            if let Some(answer) = bank.answers.remove(&own) {
                return answer.map_or(Turn::Lost, Turn::Answered);
            }
            if !bank.is_away {
                bank.is_away = true;
                let aboard = Vec::new();
                return Turn::Sail(Crossing {
                    ferry: self,
                    own,
                    aboard,
                });
            }
            bank = self.landed.wait(bank).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T, R> Crossing<'_, T, R> {
    /// Takes aboard all who wait by now, in the order in which they came. Asked for as late as possible, there are more.
    pub(super) fn passengers(&mut self) -> Vec<T> {
        let waiting = mem::take(&mut self.ferry.bank().waiting);
        let (tickets, passengers): (Vec<u64>, Vec<T>) = waiting.into_iter().unzip();
        self.aboard.extend(tickets);
        passengers
    }

    /// Lands: everybody aboard gets his answer, in the order of [`Crossing::passengers`]. Returns the sailor's own.
    pub(super) fn land(mut self, answers: Vec<R>) -> Option<R> {
        let mut bank = self.ferry.bank();
        for (ticket, answer) in mem::take(&mut self.aboard).into_iter().zip(answers) {
            bank.answers.insert(ticket, Some(answer));
        }
        bank.answers.remove(&self.own).flatten()
    }
}

impl<T, R> Drop for Crossing<'_, T, R> {
    fn drop(&mut self) {
        let mut bank = self.ferry.bank();
        for ticket in mem::take(&mut self.aboard) {
            if ticket != self.own {
                bank.answers.insert(ticket, None);
            }
        }
        // One who never took himself aboard is not there to be taken by the next.
        let own = self.own;
        bank.waiting.retain(|(ticket, _)| *ticket != own);
        bank.is_away = false;
        let is_alone = bank.waiting.is_empty() && bank.answers.is_empty();
        drop(bank);
        // To call where nobody listens costs a system call.
        if !is_alone {
            self.ferry.landed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Boards; whoever sails answers with the number of the crossing, and with the passenger.
    fn cross(ferry: &Ferry<u32, (usize, u32)>, landed: &AtomicUsize, passenger: u32, hold: impl Fn()) -> (usize, u32) {
        match ferry.board(passenger) {
            Turn::Sail(mut crossing) => {
                let passengers = crossing.passengers();
                hold();
                let number = landed.fetch_add(1, Ordering::SeqCst);
                let answers = passengers.into_iter().map(|passenger| (number, passenger));
                crossing.land(answers.collect()).unwrap()
            }
            Turn::Answered(answer) => answer,
            Turn::Lost => panic!("lost"),
        }
    }

    fn wait_for(ferry: &Ferry<u32, (usize, u32)>, waiting: usize) {
        while ferry.bank().waiting.len() < waiting {
            thread::yield_now();
        }
    }

    #[test]
    fn those_who_come_while_it_is_away_cross_together_and_are_answered_when_they_have_landed() {
        let (ferry, landed) = (Ferry::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                let hold = || wait_for(&ferry, 5);
                assert_eq!(cross(&ferry, &landed, 0, hold), (0, 0));
            });
            while !ferry.bank().is_away {
                thread::yield_now();
            }
            for passenger in 1..6 {
                let (ferry, landed) = (&ferry, &landed);
                scope.spawn(move || {
                    let (number, answered) = cross(ferry, landed, passenger, || {
                        // Time for the others to be answered too early.
                        thread::sleep(std::time::Duration::from_millis(20));
                    });
                    assert_eq!(landed.load(Ordering::SeqCst), 2, "answered before it landed");
                    assert_eq!((number, answered), (1, passenger));
                });
            }
        });
        assert_eq!(landed.load(Ordering::SeqCst), 2);
        assert!(ferry.bank().answers.is_empty());
    }

    #[test]
    fn one_who_is_alone_sails_at_once() {
        let (ferry, landed) = (Ferry::new(), AtomicUsize::new(0));
        for number in 0..3 {
            assert_eq!(cross(&ferry, &landed, 7, || {}), (number, 7));
        }
    }

    #[test]
    fn a_crossing_that_never_lands_is_told_to_those_aboard_and_the_ferry_is_there_again() {
        let (ferry, landed) = (Ferry::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            let Turn::Sail(mut first) = ferry.board(0) else {
                panic!()
            };
            let other = scope.spawn(|| matches!(ferry.board(1), Turn::Lost));
            wait_for(&ferry, 2);
            first.passengers();
            drop(first);
            assert!(other.join().unwrap());
        });
        assert_eq!(cross(&ferry, &landed, 2, || {}), (0, 2));
        assert!(ferry.bank().answers.is_empty());
    }
}
