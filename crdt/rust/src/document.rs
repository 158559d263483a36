//! The document: its state, its transactions and what is written in them.

use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::{CommitOptions, OwnedTransaction, Transactable};
use automerge::{ActorId, Automerge, Change, ChangeHash, ObjId, ObjType, PatchLog, Prop, ReadDoc};

use crate::chunk::{MAX_OP, MAX_OPERATIONS};
use crate::error::{Error, Result};
use crate::patches::{self, Seen};
use crate::replay::Hint;
use crate::tracker::Tracker;
use crate::trust::Trust;
use crate::values::Input;

/// One committed change: its hash and its bytes.
pub type Done = ([u8; 32], Vec<u8>);

/// A document, in or outside a transaction.
pub struct Document {
    pub state: State,
    pub hint: Hint,
    pub tracker: Tracker,
    pub trust: Trust,
}

// Nearly every document is idle, and there is one state in each: a box would only cost.
#[allow(clippy::large_enum_variant)]
pub enum State {
    Idle(Automerge),
    Open(Box<Writing>),
    /// A panic left the document in no known state.
    Damaged,
}

/// An open transaction.
pub struct Writing {
    pub tx: OwnedTransaction,
    before: Vec<ChangeHash>,
    actor: ActorId,
    done: Vec<Done>,
    message: Option<String>,
    time: i64,
}

/// Run an expression on the document for reading, in a transaction or not.
macro_rules! reading {
    ($document:expr, $doc:ident => $body:expr) => {
        match &$document.state {
            State::Idle($doc) => $body,
            State::Open(writing) => {
                let $doc = &writing.tx;
                $body
            }
            State::Damaged => Err($crate::document::damaged()),
        }
    };
}
pub(crate) use reading;

pub fn damaged() -> Error {
    Error::Crdt("the document was damaged by a failure of the native core: load it again".into())
}

const OPEN: &str = "a transaction is open on this document: it must end first";

impl Document {
    pub fn new(doc: Automerge) -> Self {
        Document {
            state: State::Idle(doc),
            hint: Hint::default(),
            tracker: Tracker::default(),
            trust: Trust::default(),
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
        self.state = State::Idle(doc);
    }

    fn writing(&mut self) -> Result<&mut Writing> {
        match &mut self.state {
            State::Open(writing) => Ok(writing),
            State::Idle(_) => Err(Error::NoTransaction),
            State::Damaged => Err(damaged()),
        }
    }

    pub fn begin(&mut self, message: Option<String>, time: i64, patches: bool) -> Result<()> {
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
        let tx = open(doc, log)?;
        let done = Vec::new();
        self.state = State::Open(Box::new(Writing { tx, before, actor, done, message, time }));
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
        let Writing { tx, before, actor, mut done, message, time } = self.take_writing()?;
        let (doc, hash, log) = tx.commit_with(options(&message, time));
        self.note(&doc, hash, &mut done)?;
        let tx = open(doc, log)?;
        self.state = State::Open(Box::new(Writing { tx, before, actor, done, message, time }));
        Ok(())
    }

    pub fn commit(&mut self) -> Result<(Vec<Done>, Vec<Seen>)> {
        let Writing { tx, mut done, message, time, .. } = self.take_writing()?;
        let (doc, hash, mut log) = tx.commit_with(options(&message, time));
        self.note(&doc, hash, &mut done)?;
        let mut seen = Vec::new();
        let made = doc.make_patches(&mut log);
        let read = patches::read(&doc, made, &mut seen);
        self.state = State::Idle(doc);
        read?;
        Ok((done, seen))
    }

    /// Keep the bytes of the change that was just committed.
    fn note(&mut self, doc: &Automerge, hash: Option<ChangeHash>, done: &mut Vec<Done>) -> Result<()> {
        self.hint.clear();
        if let Some(hash) = hash {
            let change = last_change(doc, &hash)?;
            self.tracker.add(&change);
            done.push((hash.0, change.raw_bytes().to_vec()));
        }
        Ok(())
    }

    pub fn rollback(&mut self) -> Result<()> {
        let Writing { tx, before, actor, done, .. } = self.take_writing()?;
        let (doc, _) = tx.rollback();
        self.hint.clear();
        if done.is_empty() {
            self.state = State::Idle(doc);
        } else {
            self.replace(doc.fork_at(&before)?.with_actor(actor));
        }
        Ok(())
    }

    /// The open transaction, with room for one more operation in its change.
    fn with_room(&mut self, operations: u64) -> Result<&mut OwnedTransaction> {
        let pending = self.writing()?.tx.pending_ops() as u64;
        if pending > 0 && pending + operations > MAX_OPERATIONS {
            self.split()?;
        }
        Ok(&mut self.writing()?.tx)
    }

    pub fn put(&mut self, obj: &ObjId, prop: Prop, value: Input) -> Result<()> {
        match value {
            Input::Scalar(scalar) => Ok(self.with_room(1)?.put(obj, prop, scalar)?),
            other if other.operations() <= MAX_OPERATIONS => {
                let tx = self.with_room(other.operations())?;
                let is_list = matches!(prop, Prop::Seq(_));
                if is_list && tx.get(obj, prop.clone())?.is_none() {
                    return Err(Error::Index("index is out of range".into()));
                }
                tx.batch_create_object(obj, prop, &other.into_hydrate(), false)?;
                Ok(())
            }
            other => {
                let made = self.with_room(1)?.put_object(obj, prop, other.kind())?;
                self.fill(&made, other)
            }
        }
    }

    pub fn insert(&mut self, obj: &ObjId, index: usize, value: Input) -> Result<()> {
        match value {
            Input::Scalar(scalar) => Ok(self.with_room(1)?.insert(obj, index, scalar)?),
            other if other.operations() <= MAX_OPERATIONS => {
                let tx = self.with_room(other.operations())?;
                tx.batch_create_object(obj, Prop::Seq(index), &other.into_hydrate(), true)?;
                Ok(())
            }
            other => {
                let made = self.with_room(1)?.insert_object(obj, index, other.kind())?;
                self.fill(&made, other)
            }
        }
    }

    /// Write the contents of a large value piece by piece.
    fn fill(&mut self, obj: &ObjId, value: Input) -> Result<()> {
        match value {
            Input::Scalar(_) => Ok(()),
            Input::Text(text) => self.splice_text(obj, 0, 0, &text),
            Input::Map(items) => {
                items.into_iter().try_for_each(|(key, item)| self.put(obj, Prop::Map(key), item))
            }
            Input::List(items) => {
                let numbered = items.into_iter().enumerate();
                numbered.into_iter().try_for_each(|(i, item)| self.insert(obj, i, item))
            }
        }
    }

    pub fn splice_list(
        &mut self,
        obj: &ObjId,
        index: usize,
        delete: usize,
        values: Vec<Input>,
    ) -> Result<()> {
        let total: u64 = values.iter().map(Input::operations).sum::<u64>() + delete as u64;
        let tx = self.with_room(total)?;
        check_range(index, delete, tx.length(obj))?;
        if total <= MAX_OPERATIONS {
            let values: Vec<_> = values.into_iter().map(Input::into_hydrate).collect();
            return Ok(tx.splice(obj, index, delete as isize, values)?);
        }
        let count = values.len();
        for (i, value) in values.into_iter().enumerate() {
            self.insert(obj, index + i, value)?;
        }
        for _ in 0..delete {
            self.with_room(1)?.delete(obj, index + count)?;
        }
        Ok(())
    }

    /// Delete `delete` code points at `index`, then insert `text` there.
    pub fn splice_text(&mut self, obj: &ObjId, index: usize, delete: usize, text: &str) -> Result<()> {
        // Bytes are at least as many as code points: enough to see that a short text fits.
        let most = text.len() as u64 + delete as u64;
        let tx = self.with_room(most.min(MAX_OPERATIONS))?;
        check_range(index, delete, tx.length(obj))?;
        if most <= MAX_OPERATIONS {
            return Ok(tx.splice_text(obj, index, delete as isize, text)?);
        }
        let inserted = self.insert_pieces(obj, index, text)?;
        let mut left = delete;
        while left > 0 {
            let piece = left.min(MAX_OPERATIONS as usize);
            let tx = self.with_room(piece as u64)?;
            tx.splice_text(obj, index + inserted, piece as isize, "")?;
            left -= piece;
        }
        Ok(())
    }

    /// Insert a long text as several changes; how many code points it has.
    fn insert_pieces(&mut self, obj: &ObjId, index: usize, text: &str) -> Result<usize> {
        let mut inserted = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let cut = rest.char_indices().nth(MAX_OPERATIONS as usize).map_or(rest.len(), |(at, _)| at);
            let (piece, tail) = rest.split_at(cut);
            let count = piece.chars().count();
            self.with_room(count as u64)?.splice_text(obj, index + inserted, 0, piece)?;
            inserted += count;
            rest = tail;
        }
        Ok(inserted)
    }

    /// Change a text to `new` with few operations.
    pub fn update_text(&mut self, obj: &ObjId, new: &str) -> Result<()> {
        let tx = self.with_room(MAX_OPERATIONS)?;
        if tx.object_type(obj)? != ObjType::Text {
            return Err(Error::Type("not a text".into()));
        }
        if (tx.length(obj) + new.chars().count()) as u64 <= MAX_OPERATIONS {
            return Ok(tx.update_text(obj, new)?);
        }
        let old: Vec<char> = tx.text(obj)?.chars().collect();
        let new: Vec<char> = new.chars().collect();
        let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let same = old[head..].iter().rev().zip(new[head..].iter().rev());
        let tail = same.take_while(|(a, b)| a == b).count();
        let middle: String = new[head..new.len() - tail].iter().collect();
        self.splice_text(obj, head, old.len() - tail - head, &middle)
    }

    pub fn delete(&mut self, obj: &ObjId, prop: Prop) -> Result<()> {
        let tx = self.with_room(1)?;
        if tx.get(obj, prop.clone())?.is_none() {
            return Err(match prop {
                Prop::Map(key) => Error::Key(key),
                Prop::Seq(_) => Error::Index("index is out of range".into()),
            });
        }
        Ok(tx.delete(obj, prop)?)
    }

    /// Mark a range of a text; a null value takes the mark away.
    pub fn mark(&mut self, obj: &ObjId, mark: Mark, sides: (bool, bool)) -> Result<()> {
        let tx = self.with_room(2)?;
        if mark.start > mark.end || mark.end > tx.length(obj) {
            return Err(Error::Index("the range of the mark is beyond the text".into()));
        }
        Ok(tx.mark(obj, mark, expand(sides.0, sides.1))?)
    }

    pub fn increment(&mut self, obj: &ObjId, prop: Prop, by: i64) -> Result<()> {
        Ok(self.with_room(1)?.increment(obj, prop, by)?)
    }
}

fn expand(before: bool, after: bool) -> ExpandMark {
    match (before, after) {
        (true, true) => ExpandMark::Both,
        (true, false) => ExpandMark::Before,
        (false, true) => ExpandMark::After,
        (false, false) => ExpandMark::None,
    }
}

fn open(doc: Automerge, log: PatchLog) -> Result<OwnedTransaction> {
    doc.into_transaction(Some(log), None).map_err(|e| Error::Crdt(e.to_string()))
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

fn check_range(index: usize, delete: usize, length: usize) -> Result<()> {
    match index.checked_add(delete) {
        Some(end) if end <= length => Ok(()),
        _ => Err(Error::Index(format!("{index} + {delete} is beyond the length, {length}"))),
    }
}
