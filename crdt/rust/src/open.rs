//! An open transaction together with the document it is in.
//!
//! The crate's `OwnedTransaction` holds the document by value: opening and ending one moves 3.5 KB some eighteen
//! times, which costs a keystroke as much as a tenth of its work. Here the document stays where it is, and the
//! transaction borrows it. Python holds both between two calls, for which Rust has no lifetime: so this file, and
//! no other, holds unsafe code.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use automerge::transaction::{CommitOptions, Transaction};
use automerge::{Automerge, ChangeHash, PatchLog};

use crate::error::{Error, Result};

pub struct Open {
    /// Borrows `doc`. Never dropped as it is: that rolls back, which after a panic could panic again.
    tx: ManuallyDrop<Transaction<'static>>,
    /// From `Box::into_raw`; only `tx` uses it until `close`.
    doc: NonNull<Automerge>,
}

// SAFETY: `doc` is owned as by a box, and both a document and a transaction may go to another thread.
unsafe impl Send for Open
where
    Automerge: Send,
    Transaction<'static>: Send,
{
}

impl Open {
    pub fn new(doc: Box<Automerge>, log: PatchLog) -> Result<Self> {
        let mut doc = NonNull::from(Box::leak(doc));
        // SAFETY: the document is on the heap and is freed by `close` alone, which takes `tx` away first. Nothing
        // else refers to it meanwhile, and `tx` leaves this value only to be ended.
        let begun = unsafe { doc.as_mut() }.transaction_log_patches(log);
        match begun {
            Ok(tx) => Ok(Open { tx: ManuallyDrop::new(tx), doc }),
            Err(error) => {
                // SAFETY: it came out of a box just now, and no transaction borrows it.
                drop(unsafe { Box::from_raw(doc.as_ptr()) });
                Err(Error::Crdt(error.to_string()))
            }
        }
    }

    pub fn tx(&self) -> &Transaction<'static> {
        &self.tx
    }

    pub fn tx_mut(&mut self) -> &mut Transaction<'static> {
        &mut self.tx
    }

    pub fn commit(self, options: CommitOptions) -> (Box<Automerge>, Option<ChangeHash>, PatchLog) {
        let (doc, (hash, log)) = self.close(|tx| tx.commit_with(options));
        (doc, hash, log)
    }

    pub fn rollback(self) -> Box<Automerge> {
        self.close(Transaction::rollback).0
    }

    /// End the transaction, and give the document back. After a panic both are left alone, and not freed.
    fn close<T>(self, end: impl FnOnce(Transaction<'static>) -> T) -> (Box<Automerge>, T) {
        let mut open = ManuallyDrop::new(self);
        // SAFETY: `open` is never dropped, so `tx` is taken once.
        let ended = end(unsafe { ManuallyDrop::take(&mut open.tx) });
        // SAFETY: it came out of a box, and `tx`, which borrowed it, is gone.
        (unsafe { Box::from_raw(open.doc.as_ptr()) }, ended)
    }
}

impl Drop for Open {
    /// A transaction that nobody ended, or a panic stopped: the document goes with it.
    fn drop(&mut self) {
        // SAFETY: it came out of a box; `tx` is not used again, nor dropped.
        drop(unsafe { Box::from_raw(self.doc.as_ptr()) });
    }
}
