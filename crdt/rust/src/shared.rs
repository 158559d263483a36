//! Who may use a document when.
//!
//! A thread takes the document out of its slot, works on it, and puts it back. Who finds the slot
//! empty, or finds a transaction that another thread has open, waits with the GIL released, for a
//! bounded time. A transaction belongs to the thread that opened it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::Python;

use crate::error::{Error, Result};

/// How long a call waits for another thread's transaction or running call, unless told otherwise.
const WAIT: Duration = Duration::from_secs(10);

const REENTERED: &str = "the document is in use by a call below this one on the same thread";
const TIMED_OUT: &str = "another thread holds the document: its transaction did not end in time";

struct Slot<T> {
    value: Option<Box<T>>,
    user: Option<ThreadId>,
    transaction: Option<ThreadId>,
    /// How many threads wait: waking nobody is a system call too.
    waiting: usize,
    wait: Duration,
}

/// A value that one thread at a time may use.
pub struct Shared<T> {
    slot: Mutex<Slot<T>>,
    freed: Condvar,
}

/// The right to use the value; it goes back when this is dropped.
pub struct Claim<'a, T> {
    shared: &'a Shared<T>,
    value: Option<Box<T>>,
    transaction: Option<ThreadId>,
}

impl<T: Send> Shared<T> {
    pub fn new(value: T) -> Self {
        let slot =
            Slot { value: Some(Box::new(value)), user: None, transaction: None, waiting: 0, wait: WAIT };
        Shared { slot: Mutex::new(slot), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_wait(&self, wait: Duration) {
        self.lock().wait = wait;
    }

    /// Take the value, waiting for other threads with the GIL released.
    pub fn claim(&self, py: Python<'_>) -> Result<Claim<'_, T>> {
        self.claim_as(py, false)
    }

    /// Take the value to end its transaction, whichever thread opened that.
    pub fn claim_to_end(&self, py: Python<'_>) -> Result<Claim<'_, T>> {
        self.claim_as(py, true)
    }

    fn claim_as(&self, py: Python<'_>, any: bool) -> Result<Claim<'_, T>> {
        let me = thread::current().id();
        {
            let mut slot = self.lock();
            if let Some(claim) = self.try_take(&mut slot, me, any) {
                return Ok(claim);
            }
            if slot.user == Some(me) {
                return Err(Error::Busy(REENTERED));
            }
        }
        py.detach(|| self.wait(any))
    }

    /// Take the value if nobody has it.
    pub fn try_claim(&self) -> Option<Claim<'_, T>> {
        self.try_take(&mut self.lock(), thread::current().id(), false)
    }

    fn try_take(&self, slot: &mut Slot<T>, me: ThreadId, any: bool) -> Option<Claim<'_, T>> {
        if !any && slot.transaction.is_some_and(|owner| owner != me) {
            return None;
        }
        let value = slot.value.take()?;
        slot.user = Some(me);
        Some(Claim { shared: self, value: Some(value), transaction: slot.transaction })
    }

    /// Take the value, waiting for other threads; for calls without the GIL.
    pub fn wait(&self, any: bool) -> Result<Claim<'_, T>> {
        let me = thread::current().id();
        let mut slot = self.lock();
        let deadline = Instant::now() + slot.wait;
        loop {
            if let Some(claim) = self.try_take(&mut slot, me, any) {
                return Ok(claim);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Busy(TIMED_OUT));
            }
            slot.waiting += 1;
            slot = self.freed.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
            slot.waiting -= 1;
        }
    }
}

impl<T> Claim<'_, T> {
    pub fn value(&mut self) -> &mut T {
        self.value.as_mut().expect("a claim holds the value until it is dropped")
    }

    /// Keep the document for this thread until `set_transaction(false)`.
    pub fn set_transaction(&mut self, open: bool) {
        self.transaction = open.then(|| thread::current().id());
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        let mut slot = self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.value = self.value.take();
        slot.user = None;
        slot.transaction = self.transaction;
        let waited_for = slot.waiting > 0;
        drop(slot);
        if waited_for {
            self.shared.freed.notify_all();
        }
    }
}
