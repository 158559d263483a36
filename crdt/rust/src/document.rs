//! The document: its state and its transactions.

use std::collections::BTreeSet;

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{ActorId, Automerge, Change, ChangeHash, ObjId, PatchLog, ReadDoc};

use crate::chunk::{is_time, MAX_OP, MAX_OPERATIONS, TIMES};
use crate::cut;
use crate::error::{Error, Result};
use crate::giants::Giants;
use crate::open::Open;
use crate::patches::{self, Seen};
use crate::replay::Hint;
use crate::tracker::Tracker;
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
    pub giants: Giants,
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
    before: Vec<ChangeHash>,
    actor: ActorId,
    done: Vec<Done>,
    /// The texts that were marked.
    marked: BTreeSet<ObjId>,
    message: Option<String>,
    time: i64,
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

const OPEN: &str = "a transaction is open on this document: it must end first";

impl Document {
    pub fn new(doc: impl Into<Box<Automerge>>) -> Self {
        Document {
            state: State::Idle(doc.into()),
            hint: Hint::default(),
            tracker: Tracker::default(),
            trust: Trust::default(),
            mirror: Mirror::default(),
            giants: Giants::default(),
            replayed: 0,
            spare: None,
            since_spare: None,
            looks: 0,
        }
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
        self.tracker.add(change);
        match &mut self.since_spare {
            Some(since) if since.len() < SPARE_CHANGES => since.push(change.clone()),
            Some(_) => self.drop_spare(),
            None => {}
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
            State::Open(writing) => Ok(&writing.actor),
            State::Damaged => Err(damaged()),
        }
    }

    /// Put another state of the document in place of the present one.
    pub fn replace(&mut self, doc: Automerge) {
        self.hint.clear();
        self.tracker.forget();
        self.mirror.forget();
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
        doc.set_actor(actor.clone());
        let state = std::mem::replace(&mut self.state, State::Idle(doc));
        let tracker = std::mem::replace(&mut self.tracker, made.tracker);
        match state {
            State::Idle(old) => Ok(Document { tracker, giants: made.giants, ..Document::new(old) }),
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
        if tracker.max_op(doc) + MAX_OPERATIONS >= MAX_OP {
            return Err(Error::Crdt("the operation numbers of the document are used up".into()));
        }
        let State::Idle(doc) = std::mem::replace(&mut self.state, State::Damaged) else {
            return Err(damaged());
        };
        let before = doc.get_heads();
        let actor = doc.get_actor().clone();
        let log = if patches { PatchLog::active() } else { PatchLog::inactive() };
        let open = Open::new(doc, log)?;
        let (done, marked) = (Vec::new(), BTreeSet::new());
        self.state = State::Open(Box::new(Writing { open, before, actor, done, marked, message, time }));
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
        let Writing { open, before, actor, mut done, marked, message, time } = self.take_writing()?;
        let (doc, hash, log) = open.commit(options(&message, time));
        self.note(&doc, hash, &mut done)?;
        let open = Open::new(doc, log)?;
        self.state = State::Open(Box::new(Writing { open, before, actor, done, marked, message, time }));
        Ok(())
    }

    /// End the transaction, or take it back when a change of it has more than `most` bytes.
    pub fn commit(&mut self, most: Option<usize>) -> Result<(Vec<Done>, Vec<Seen>)> {
        let Writing { open, before, actor, mut done, marked, message, time } = self.take_writing()?;
        let (doc, hash, mut log) = open.commit(options(&message, time));
        self.note(&doc, hash, &mut done)?;
        let largest = done.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        if let Some(most) = most.filter(|most| largest > *most) {
            self.replace(cut::fork_at(&doc, &before)?.with_actor(actor));
            let why = format!("a change of {largest} bytes is larger than {most}: it was taken back");
            return Err(Error::Overflow(why));
        }
        let mut seen = Vec::new();
        let made = versions::step(&doc, &before, doc.make_patches(&mut log), &marked);
        let read = made.and_then(|made| patches::read(&doc, made, &mut seen));
        self.state = State::Idle(doc);
        read?;
        Ok((done, seen))
    }

    /// Keep the bytes of the change that was just committed.
    fn note(&mut self, doc: &Automerge, hash: Option<ChangeHash>, done: &mut Vec<Done>) -> Result<()> {
        self.hint.clear();
        if let Some(hash) = hash {
            let change = last_change(doc, &hash)?;
            self.added(&change);
            done.push((hash.0, change.raw_bytes().to_vec()));
        }
        Ok(())
    }

    pub fn rollback(&mut self) -> Result<()> {
        let Writing { open, before, actor, done, .. } = self.take_writing()?;
        let doc = open.rollback();
        self.hint.clear();
        self.mirror.forget();
        if done.is_empty() {
            self.state = State::Idle(doc);
        } else {
            self.replace(cut::fork_at(&doc, &before)?.with_actor(actor));
        }
        Ok(())
    }

    /// The open transaction.
    pub fn tx(&mut self) -> Result<&mut Transaction<'static>> {
        Ok(self.writing()?.open.tx_mut())
    }

    /// Remember that a text was marked.
    pub fn note_mark(&mut self, obj: &ObjId) {
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

fn options(message: &Option<String>, time: i64) -> CommitOptions {
    let options = CommitOptions::default().with_time(time);
    match message {
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
