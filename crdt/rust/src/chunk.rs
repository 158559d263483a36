//! A bounded reader of change chunks.
//!
//! Everything is read from the bytes as they are: operations, predecessors and repeated strings are
//! counted from run lengths, so that a hundred bytes that stand for a million operations are
//! refused before anything is built. The layout is that of the Automerge binary format.

use crate::encode::{self, MAGIC};
use crate::error::{invalid, Result};
use crate::reader::Reader;

/// Most operations in one change.
pub const MAX_OPERATIONS: u64 = 65_536;
/// The last operation of a change lies below this.
pub const MAX_OP: u64 = 1 << 31;
/// A save holds the differences of times: the crate panics, at every later write, on one beyond 64 bits.
pub const MAX_TIME: i64 = 1 << 62;
/// What follows in the bytes after the columns.
const AUTHOR: u64 = 1;
/// Most predecessors of an operation, on average over a change.
const MAX_PREDECESSORS: u64 = 4;
/// Most bytes that the repeated strings of one change may stand for.
const MAX_REPEATED_BYTES: u64 = 16 << 20;
pub const MAX_ACTOR_BYTES: u64 = 128;

pub const DOCUMENT_CHUNK: u8 = 0;
pub const CHANGE_CHUNK: u8 = 1;
const DEFLATED_CHUNK: u8 = 2;
const DEFLATED: u64 = 8;

const COLUMN_ACTION: u64 = 0x42;
const COLUMN_PRED_GROUP: u64 = 0x70;
const COLUMN_PRED_ACTOR: u64 = 0x71;
const COLUMN_PRED_COUNTER: u64 = 0x73;
const COLUMN_MARK_NAME: u64 = 0xa5;

// What a column holds: the lowest three bits of its specification.
const DELTAS: u64 = 3;
const BOOLEANS: u64 = 4;
const STRINGS: u64 = 5;
const VALUE_BYTES: u64 = 7;

/// The header fields of a change, with its operations counted.
#[derive(Clone, Debug)]
pub struct Head {
    pub hash: [u8; 32],
    pub actor: Vec<u8>,
    pub seq: u64,
    pub start_op: u64,
    pub operations: u64,
    pub deps: Vec<[u8; 32]>,
    pub time: i64,
    pub message: Option<String>,
    /// Whether any of its operations is of a mark.
    pub has_marks: bool,
    /// Where in the bytes its body begins, and in that what is said of its columns.
    pub body: usize,
    pub columns: usize,
}

impl Head {
    /// Read the header of one uncompressed change chunk and count its operations, at most `most`.
    pub fn parse(data: &[u8], most: u64) -> Result<Head> {
        let header = Header::parse(data)?;
        if header.kind != Kind::Change {
            return invalid("not an uncompressed change chunk");
        }
        if header.length != data.len() {
            return invalid("bytes after the change");
        }
        let body = &data[header.body..];
        let hash = encode::hash(CHANGE_CHUNK, body);
        if hash[..4] != data[4..8] {
            return invalid("the checksum of the change does not match");
        }
        let mut r = Reader::new(body);
        let deps = read_deps(&mut r)?;
        let actor = r.prefixed(MAX_ACTOR_BYTES)?.to_vec();
        let seq = r.unsigned()?;
        let start_op = r.unsigned()?;
        let time = r.signed()?;
        let message = read_message(&mut r)?;
        for _ in 0..r.count(1)? {
            r.prefixed(MAX_ACTOR_BYTES)?;
        }
        let columns = data.len() - r.rest().len();
        let (operations, has_marks) = count_operations(&mut r, most)?;
        let body = header.body;
        let head =
            Head { hash, actor, seq, start_op, operations, deps, time, message, has_marks, body, columns };
        head.check()?;
        check_author(head.seq, r.rest())?;
        Ok(head)
    }

    /// The number of the last operation.
    pub fn last_op(&self) -> u64 {
        self.start_op + self.operations - 1
    }

    fn check(&self) -> Result<()> {
        if self.seq == 0 || self.start_op == 0 {
            return invalid("seq and start_op begin at 1");
        }
        if self.start_op >= MAX_OP || self.operations > MAX_OP - self.start_op {
            return invalid("operation numbers beyond 2^31");
        }
        if !is_time(self.time) {
            return invalid(TIMES);
        }
        Ok(())
    }
}

/// Whether a change that was made here is within the limits that everyone reads it with.
pub fn check_size(change: &[u8]) -> Result<()> {
    let mut r = Reader::new(&change[Header::parse(change)?.body..]);
    read_deps(&mut r)?;
    r.prefixed(MAX_ACTOR_BYTES)?;
    r.unsigned()?;
    r.unsigned()?;
    r.signed()?;
    read_message(&mut r)?;
    for _ in 0..r.count(1)? {
        r.prefixed(MAX_ACTOR_BYTES)?;
    }
    count_operations(&mut r, MAX_OPERATIONS).map(drop)
}

/// The bytes after the columns of a change may name an author: the crate (0.12.0) panics where that is not in the first
/// change of an actor.
pub fn check_author(seq: u64, extra: &[u8]) -> Result<()> {
    let mut r = Reader::new(extra);
    let names = matches!((r.unsigned(), r.unsigned()), (Ok(AUTHOR), Ok(length)) if r.take(length).is_ok());
    match names && seq != 1 {
        true => invalid("an author is named in another change than the first of an actor"),
        false => Ok(()),
    }
}

pub const TIMES: &str = "a time is at least -2^62 and below 2^62";

/// Whether a change may have this time.
pub fn is_time(time: i64) -> bool {
    (-MAX_TIME..MAX_TIME).contains(&time)
}

/// What a chunk is.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Document,
    Change,
    /// A compressed change.
    Deflated,
    Other,
}

/// The header of a chunk.
pub struct Header {
    pub kind: Kind,
    /// Where its body begins.
    pub body: usize,
    /// How long the chunk is, with its header.
    pub length: usize,
}

impl Header {
    /// Read the header of the first chunk in `data`, which holds the whole of it.
    pub fn parse(data: &[u8]) -> Result<Header> {
        if data.len() < 10 || data[..4] != MAGIC {
            return invalid("not an Automerge chunk");
        }
        let kind = match data[8] {
            DOCUMENT_CHUNK => Kind::Document,
            CHANGE_CHUNK => Kind::Change,
            DEFLATED_CHUNK => Kind::Deflated,
            _ => Kind::Other,
        };
        let mut r = Reader::new(&data[9..]);
        let length = r.unsigned()?;
        let body = data.len() - r.rest().len();
        r.take(length)?;
        Ok(Header { kind, body, length: data.len() - r.rest().len() })
    }
}

fn read_deps(r: &mut Reader<'_>) -> Result<Vec<[u8; 32]>> {
    let mut deps: Vec<[u8; 32]> = Vec::new();
    for _ in 0..r.count(32)? {
        let dep: [u8; 32] = r.take(32)?.try_into().expect("32 bytes were taken");
        if deps.last().is_some_and(|last| last >= &dep) {
            return invalid("the dependencies are not sorted and unique");
        }
        deps.push(dep);
    }
    Ok(deps)
}

fn read_message(r: &mut Reader<'_>) -> Result<Option<String>> {
    let bytes = r.prefixed(u64::MAX)?;
    match std::str::from_utf8(bytes) {
        Ok("") => Ok(None),
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => invalid("the message is not UTF-8"),
    }
}

/// Walk the columns, and count what their run lengths stand for: operations, and whether there are marks.
///
/// No column may stand for more rows than there are operations, or predecessors where it is of those.
fn count_operations(r: &mut Reader<'_>, most: u64) -> Result<(u64, bool)> {
    let mut columns: Vec<(u64, u64)> = Vec::new();
    for _ in 0..r.count(2)? {
        let (specification, length) = (r.unsigned()?, r.unsigned()?);
        if specification & DEFLATED != 0 {
            return invalid("a column is compressed");
        }
        if columns.last().is_some_and(|(last, _)| *last >= specification) {
            return invalid("the columns are not sorted and unique");
        }
        columns.push((specification, length));
    }
    let mut has_marks = false;
    let (mut operations, mut predecessors) = (0, 0);
    let (mut rows, mut predecessor_rows) = (0, 0);
    for (specification, length) in columns {
        let column = r.take(length)?;
        match specification {
            COLUMN_ACTION => operations = count_runs(column, most, integer, one)?,
            COLUMN_PRED_GROUP => predecessors = count_runs(column, most_predecessors(most), integer, |n| n)?,
            _ => {}
        }
        match specification {
            COLUMN_PRED_ACTOR | COLUMN_PRED_COUNTER => {
                predecessor_rows =
                    count_rows(specification, column, most_predecessors(most))?.max(predecessor_rows);
            }
            _ => rows = count_rows(specification, column, most)?.max(rows),
        }
        has_marks |= specification == COLUMN_MARK_NAME && !column.is_empty();
    }
    if rows > operations || predecessor_rows > predecessors {
        return invalid("a column stands for more than the operations");
    }
    Ok((operations, has_marks))
}

fn most_predecessors(most: u64) -> u64 {
    most.saturating_mul(MAX_PREDECESSORS)
}

/// How many rows a column stands for, at most `most`. Its strings are at most `MAX_REPEATED_BYTES` together.
fn count_rows(specification: u64, column: &[u8], most: u64) -> Result<u64> {
    match specification & 7 {
        BOOLEANS => count_booleans(column, most),
        STRINGS => {
            count_runs(column, MAX_REPEATED_BYTES, string, |n| n)?;
            count_runs(column, most, string, one)
        }
        DELTAS => count_runs(column, most, |r| r.signed().map(|n| n as u64), one),
        VALUE_BYTES => Ok(0),
        _ => count_runs(column, most, integer, one),
    }
}

fn count_booleans(column: &[u8], most: u64) -> Result<u64> {
    let mut r = Reader::new(column);
    let mut total: u64 = 0;
    while !r.rest().is_empty() {
        total = total.saturating_add(r.unsigned()?);
    }
    match total <= most {
        true => Ok(total),
        false => too_much(),
    }
}

fn one(_: u64) -> u64 {
    1
}

fn too_much<T>() -> Result<T> {
    invalid("a column stands for more than the limits of one change")
}

fn integer(r: &mut Reader<'_>) -> Result<u64> {
    r.unsigned()
}

fn string(r: &mut Reader<'_>) -> Result<u64> {
    r.prefixed(u64::MAX).map(|s| s.len() as u64)
}

/// The sum of `weight(value)` over a run-length encoded column; an error above `limit`.
fn count_runs(
    column: &[u8],
    limit: u64,
    read: fn(&mut Reader<'_>) -> Result<u64>,
    weight: fn(u64) -> u64,
) -> Result<u64> {
    let mut r = Reader::new(column);
    let mut total: u64 = 0;
    while !r.rest().is_empty() {
        let run = r.signed()?;
        let added = match run {
            0 => null_run(&mut r, weight)?,
            1.. => weight(read(&mut r)?).saturating_mul(run as u64),
            _ => literal_run(&mut r, run.unsigned_abs(), limit, read, weight)?,
        };
        total = total.saturating_add(added);
        if total > limit {
            return too_much();
        }
    }
    Ok(total)
}

fn null_run(r: &mut Reader<'_>, weight: fn(u64) -> u64) -> Result<u64> {
    let length = r.unsigned()?;
    Ok(weight(0).saturating_mul(length))
}

fn literal_run(
    r: &mut Reader<'_>,
    length: u64,
    limit: u64,
    read: fn(&mut Reader<'_>) -> Result<u64>,
    weight: fn(u64) -> u64,
) -> Result<u64> {
    let mut total: u64 = 0;
    for _ in 0..length {
        total = total.saturating_add(weight(read(r)?));
        if total > limit {
            break;
        }
    }
    Ok(total)
}
