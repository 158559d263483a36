//! The document: its state and its transactions.

use std::collections::BTreeSet;

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{ActorId, Automerge, Change, ChangeHash, ObjId, PatchLog, ReadDoc};

use crate::chunk::{self, is_time, MAX_OP, MAX_OPERATIONS, TIMES};
use crate::cut;
use crate::error::{Error, Result};
use crate::giants::Giants;
use crate::incoming::Incoming;
use crate::keystroke::{Caret, Heading, Keystroke};
use crate::open::Open;
use crate::patches::{self, Seen};
use crate::replay::Hint;
use crate::tracker::{Last, Tracker};
use crate::trust::Trust;
use crate::units::Mirror;
use crate::versions;

/// One committed change: its hash and its bytes.
pub type Done = ([u8; 32], Vec<u8>);

/// Changes after which a spare that nobody asked for is dropped.
const SPARE_CHANGES: usize = 1_000;

/// A document, in or outside a transaction.
pub struct Document {
    pub state: State,
    pub hint: Hint,
    pub tracker: Tracker,
    pub trust: Trust,
    pub mirror: Mirror,
    pub caret: Caret,
    pub giants: Giants,
    /// Whether there may be marks: false only where there is none.
    pub has_marks: bool,
    /// How many changes went by replay.
    pub replayed: usize,
    /// A copy of an earlier state of the document: see `Job`.
    pub spare: Option<Box<Document>>,
    /// What the spare lacks, here or lent to a job; None if there is none.
    pub since_spare: Option<Vec<Change>>,
    /// How many times a job looked; what `since_spare` has is counted from the last one.
    pub looks: u64,
}

pub enum State {
    /// In a box, since a document is 3.5 KB, and goes into each transaction and out of it.
    Idle(Box<Automerge>),
    Open(Box<Writing>),
    /// A panic left the document in no known state.
    Damaged,
}

/// An open transaction.
pub struct Writing {
    pub open: Open,
    before: Before,
    /// Of the first change that it makes; those that follow share actor, time and message.
    heading: Heading,
    /// The first edit, if it was one that is understood.
    keystroke: Option<Keystroke>,
    done: Vec<Done>,
    /// The texts that were marked.
    marked: BTreeSet<ObjId>,
}

/// The document as it was before a transaction.
struct Before {
    heads: Vec<ChangeHash>,
    kept: Option<Box<Automerge>>,
}

impl Before {
    /// Take back what was committed since.
    fn restore(self, doc: &Automerge, actor: ActorId) -> Result<Automerge> {
        match self.kept {
            Some(kept) => Ok(*kept),
            None => Ok(cut::fork_at(doc, &self.heads)?.with_actor(actor)),
        }
    }
}

/// Run an expression on the document for reading, in a transaction or not.
macro_rules! reading {
    ($document:expr, $doc:ident => $body:expr) => {
        match &$document.state {
            $crate::document::State::Idle(doc) => {
                let $doc = doc.as_ref();
                $body
            }
            $crate::document::State::Open(writing) => {
                let $doc = writing.open.tx();
                $body
            }
            $crate::document::State::Damaged => Err($crate::document::damaged()),
        }
    };
}
pub(crate) use reading;

pub fn damaged() -> Error {
    Error::Crdt("the document was damaged by a failure of the native core: load it again".into())
}

const TOO_MUCH: &str =
    "a change has too many keys, or writes where too many values are, for others to take it";

const OPEN: &str = "a transaction is open on this document: it must end first";

impl Document {
    pub fn new(doc: impl Into<Box<Automerge>>, has_marks: bool) -> Self {
        Document {
            state: State::Idle(doc.into()),
            hint: Hint::default(),
            tracker: Tracker::default(),
            trust: Trust::default(),
            mirror: Mirror::default(),
            caret: Caret::default(),
            giants: Giants::default(),
            has_marks,
            replayed: 0,
            spare: None,
            since_spare: None,
            looks: 0,
        }
    }

    /// A copy of the document for a transaction that may come to nothing. If it is the first one of its actor, the
    /// crate (0.12.0) then takes the actor out of the document, but not out of its index of marks, whose ids from then
    /// on are those of others.
    pub fn copy_for(&mut self, seq: u64) -> Result<Option<Box<Automerge>>> {
        let keep = seq == 1 && self.has_marks;
        let doc = self.idle()?;
        Ok(keep.then(|| Box::new(doc.clone())))
    }

    /// Take note that such changes are going to be applied.
    pub fn expect_marks(&mut self, changes: &[Incoming]) {
        self.has_marks |= changes.iter().any(|incoming| incoming.head.has_marks);
    }

    /// Keep an earlier state of the document for the next job, and what it lacks.
    pub fn keep(&mut self, spare: Box<Document>, lacks: Vec<Change>) {
        self.spare = Some(spare);
        self.since_spare = Some(lacks);
    }

    fn drop_spare(&mut self) {
        self.spare = None;
        self.since_spare = None;
    }

    /// Take note of a change that is now in the document.
    pub fn added(&mut self, change: &Change) {
        self.tracker.add(change.actor_id(), Last::of(change), change.max_op());
        self.follow(|| Some(change.clone()));
    }

    /// Note for the spare what the document got.
    fn follow(&mut self, change: impl FnOnce() -> Option<Change>) {
        if let Some(since) = &mut self.since_spare {
            match change().filter(|_| since.len() < SPARE_CHANGES) {
                Some(change) => since.push(change),
                None => self.drop_spare(),
            }
        }
    }

    /// Look at an edit of a text that is about to be the first thing that the transaction does.
    pub fn expect(&mut self, obj: &ObjId, index: usize, delete: usize, text: &str) {
        if let State::Open(writing) = &mut self.state {
            let tx = writing.open.tx();
            if tx.pending_ops() == 0 && writing.done.is_empty() {
                writing.keystroke = self.caret.keystroke(tx, obj, index, delete, text);
            }
        }
    }

    /// The document, which must not be in a transaction.
    pub fn idle(&mut self) -> Result<&mut Automerge> {
        match &mut self.state {
            State::Idle(doc) => Ok(doc),
            State::Open(_) => Err(Error::TransactionOpen(OPEN)),
            State::Damaged => Err(damaged()),
        }
    }

    /// The idle document and what is known of it.
    pub fn parts(&mut self) -> Result<(&mut Automerge, &mut Tracker)> {
        match &mut self.state {
            State::Idle(doc) => Ok((doc, &mut self.tracker)),
            State::Open(_) => Err(Error::TransactionOpen(OPEN)),
            State::Damaged => Err(damaged()),
        }
    }

    /// The idle document and what is known of its large changes.
    pub fn checking(&mut self) -> Result<(&mut Automerge, &mut Giants)> {
        match &mut self.state {
            State::Idle(doc) => Ok((doc, &mut self.giants)),
            State::Open(_) => Err(Error::TransactionOpen(OPEN)),
            State::Damaged => Err(damaged()),
        }
    }

    pub fn actor(&mut self) -> Result<&ActorId> {
        match &self.state {
            State::Idle(doc) => Ok(doc.get_actor()),
            State::Open(writing) => Ok(&writing.heading.actor),
            State::Damaged => Err(damaged()),
        }
    }

    /// Put another state of the document in place of the present one.
    pub fn replace(&mut self, doc: Automerge) {
        self.hint.clear();
        self.tracker.forget();
        self.mirror.forget();
        self.caret.forget();
        self.drop_spare();
        self.state = State::Idle(Box::new(doc));
    }

    /// Put what became of a copy in place of the present state, which is given back.
    pub fn exchange(&mut self, made: Document, actor: &ActorId) -> Result<Document> {
        let State::Idle(mut doc) = made.state else {
            return Err(damaged());
        };
        self.idle()?;
        self.hint.clear();
        self.mirror.forget();
        self.caret.forget();
        doc.set_actor(actor.clone());
        let state = std::mem::replace(&mut self.state, State::Idle(doc));
        let tracker = std::mem::replace(&mut self.tracker, made.tracker);
        match state {
            State::Idle(old) => {
                Ok(Document { tracker, giants: made.giants, ..Document::new(old, self.has_marks) })
            }
            _ => Err(damaged()),
        }
    }

    fn writing(&mut self) -> Result<&mut Writing> {
        match &mut self.state {
            State::Open(writing) => Ok(writing),
            State::Idle(_) => Err(Error::NoTransaction),
            State::Damaged => Err(damaged()),
        }
    }

    pub fn begin(&mut self, message: Option<String>, time: i64, patches: bool) -> Result<()> {
        if !is_time(time) {
            return Err(Error::Value(TIMES.into()));
        }
        let (doc, tracker) = self.parts()?;
        let last_op = tracker.max_op(doc);
        if last_op + MAX_OPERATIONS >= MAX_OP {
            return Err(Error::Crdt("the operation numbers of the document are used up".into()));
        }
        let actor = doc.get_actor().clone();
        let (deps, seq) = (tracker.deps(doc, &actor), tracker.seq(doc, &actor) + 1);
        let heading = Heading { deps, actor, seq, start_op: last_op + 1, time, message };
        let before = Before { heads: doc.get_heads(), kept: self.copy_for(seq)? };
        let State::Idle(doc) = std::mem::replace(&mut self.state, State::Damaged) else {
            return Err(damaged());
        };
        let log = if patches { PatchLog::active() } else { PatchLog::inactive() };
        let open = Open::new(doc, log)?;
        let (done, marked) = (Vec::new(), BTreeSet::new());
        self.state = State::Open(Box::new(Writing { open, before, heading, keystroke: None, done, marked }));
        Ok(())
    }

    fn take_writing(&mut self) -> Result<Writing> {
        self.writing()?;
        match std::mem::replace(&mut self.state, State::Damaged) {
            State::Open(writing) => Ok(*writing),
            _ => Err(damaged()),
        }
    }

    /// Commit what is pending as one change, and go on in the same transaction.
    fn split(&mut self) -> Result<()> {
        let Writing { open, before, heading, keystroke, mut done, marked } = self.take_writing()?;
        let (doc, log) = self.end(open, &heading, keystroke, &mut done)?;
        let open = Open::new(doc, log)?;
        self.state = State::Open(Box::new(Writing { open, before, heading, keystroke: None, done, marked }));
        Ok(())
    }

    /// End the transaction, or take it back when a change of it has more than `most` bytes, or others would not take it.
    pub fn commit(&mut self, most: Option<usize>) -> Result<(Vec<Done>, Vec<Seen>)> {
        let Writing { open, before, heading, keystroke, mut done, marked } = self.take_writing()?;
        let (doc, mut log) = self.end(open, &heading, keystroke, &mut done)?;
        if done.is_empty() {
            self.state = State::Idle(before.kept.unwrap_or(doc));
            return Ok(Default::default());
        }
        let largest = done.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        let too_large = match most.filter(|most| largest > *most) {
            Some(most) => Some(format!("a change of {largest} bytes is larger than {most}")),
            None => {
                done.iter().find_map(|(_, bytes)| chunk::check_size(bytes).err()).map(|_| TOO_MUCH.to_owned())
            }
        };
        if let Some(why) = too_large {
            self.replace(before.restore(&doc, heading.actor)?);
            return Err(Error::Overflow(format!("{why}: it was taken back")));
        }
        let mut seen = Vec::new();
        let made = versions::step(&doc, &before.heads, doc.make_patches(&mut log), &marked);
        let read = made.and_then(|made| patches::read(&doc, made, &mut seen));
        self.state = State::Idle(doc);
        read?;
        Ok((done, seen))
    }

    /// Commit what is pending, and keep the bytes of the change.
    fn end(
        &mut self,
        open: Open,
        heading: &Heading,
        keystroke: Option<Keystroke>,
        done: &mut Vec<Done>,
    ) -> Result<(Box<Automerge>, PatchLog)> {
        let operations = open.tx().pending_ops();
        let (doc, hash, log) = open.commit(options(heading));
        self.hint.clear();
        let Some(hash) = hash else {
            return Ok((doc, log));
        };
        let typed = keystroke.filter(|keystroke| keystroke.operations() == operations);
        match typed.and_then(|keystroke| self.caret.change(keystroke, heading, &hash)) {
            Some(bytes) => {
                let max_op = heading.start_op + operations as u64 - 1;
                self.tracker.add(&heading.actor, Last { seq: heading.seq, hash }, max_op);
                self.follow(|| Change::from_bytes(bytes.clone()).ok());
                done.push((hash.0, bytes));
            }
            None => {
                self.caret.forget();
                let change = last_change(&doc, &hash)?;
                self.added(&change);
                done.push((hash.0, change.raw_bytes().to_vec()));
            }
        }
        Ok((doc, log))
    }

    pub fn rollback(&mut self) -> Result<()> {
        let Writing { open, before, heading, done, .. } = self.take_writing()?;
        let doc = open.rollback();
        self.hint.clear();
        self.mirror.forget();
        if done.is_empty() {
            self.state = State::Idle(before.kept.unwrap_or(doc));
        } else {
            self.replace(before.restore(&doc, heading.actor)?);
        }
        Ok(())
    }

    /// How many operations the open transaction has written.
    pub fn pending(&self) -> u64 {
        match &self.state {
            State::Open(writing) => writing.open.tx().pending_ops() as u64,
            _ => 0,
        }
    }

    /// The open transaction.
    pub fn tx(&mut self) -> Result<&mut Transaction<'static>> {
        Ok(self.writing()?.open.tx_mut())
    }

    /// Remember that a text was marked.
    pub fn note_mark(&mut self, obj: &ObjId) {
        self.has_marks = true;
        if let State::Open(writing) = &mut self.state {
            if !writing.marked.contains(obj) {
                writing.marked.insert(obj.clone());
            }
        }
    }

    /// Begin another change if the present one has no room for so many more operations.
    pub fn make_room(&mut self, operations: u64) -> Result<()> {
        let pending = self.tx()?.pending_ops() as u64;
        if pending > 0 && pending + operations > MAX_OPERATIONS {
            self.split()?;
        }
        Ok(())
    }

    /// The open transaction, with room to write to an object.
    pub fn with_room(&mut self, obj: &ObjId, operations: u64) -> Result<&mut Transaction<'static>> {
        self.make_room(operations)?;
        self.mirror.forget_text(obj);
        self.tx()
    }
}

fn options(heading: &Heading) -> CommitOptions {
    let options = CommitOptions::default().with_time(heading.time);
    match &heading.message {
        Some(message) => options.with_message(message),
        None => options,
    }
}

fn last_change(doc: &Automerge, hash: &ChangeHash) -> Result<Change> {
    doc.get_last_local_change()
        .filter(|change| change.hash() == *hash)
        .or_else(|| doc.get_change_by_hash(hash))
        .ok_or_else(|| Error::Crdt("the committed change is not there".into()))
}
