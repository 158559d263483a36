//! A bounded reader of change chunks.
//!
//! Everything is read from the bytes as they are: operations, predecessors and repeated strings are
//! counted from run lengths, so that a hundred bytes that stand for a million operations are
//! refused before anything is built. The layout is that of the Automerge binary format.

use sha2::{Digest, Sha256};

use crate::error::{invalid, Error, Result};

/// Most operations in one change.
pub const MAX_OPERATIONS: u64 = 65_536;
/// The last operation of a change lies below this.
pub const MAX_OP: u64 = 1 << 31;
/// Most predecessors in one change, over all of its operations.
const MAX_PREDECESSORS: u64 = 4 * MAX_OPERATIONS;
/// Most bytes that the repeated strings of one change may stand for.
const MAX_REPEATED_BYTES: u64 = 16 << 20;
const MAX_ACTOR_BYTES: u64 = 128;

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHANGE_CHUNK: u8 = 1;
const DEFLATED: u64 = 8;

const COLUMN_KEY_STRING: u64 = 0x15;
const COLUMN_ACTION: u64 = 0x42;
const COLUMN_PRED_GROUP: u64 = 0x70;
const COLUMN_MARK_NAME: u64 = 0xa5;

/// The header fields of a change, with its operations counted.
#[derive(Debug)]
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
}

impl Head {
    /// Read the header of one uncompressed change chunk and count its operations.
    pub fn parse(data: &[u8]) -> Result<Head> {
        let body = open_chunk(data)?;
        let hash = chunk_hash(body);
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
        let (operations, has_marks) = count_operations(&mut r)?;
        let head = Head { hash, actor, seq, start_op, operations, deps, time, message, has_marks };
        head.check()?;
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
        if self.operations > MAX_OPERATIONS {
            return invalid(format!("{} operations in one change", self.operations));
        }
        if self.start_op >= MAX_OP || self.start_op + self.operations > MAX_OP {
            return invalid("operation numbers beyond 2^31");
        }
        Ok(())
    }
}

fn open_chunk(data: &[u8]) -> Result<&[u8]> {
    if data.len() < 10 || data[..4] != MAGIC {
        return invalid("not a change");
    }
    if data[8] != CHANGE_CHUNK {
        return invalid("not an uncompressed change chunk");
    }
    let mut r = Reader::new(&data[9..]);
    let length = r.unsigned()?;
    if length != r.rest().len() as u64 {
        return invalid("the length of the chunk does not match");
    }
    Ok(r.rest())
}

fn chunk_hash(body: &[u8]) -> [u8; 32] {
    let mut prefix = vec![CHANGE_CHUNK];
    let mut n = body.len() as u64;
    loop {
        let byte = (n & 0x7f) as u8;
        n >>= 7;
        prefix.push(if n == 0 { byte } else { byte | 0x80 });
        if n == 0 {
            break;
        }
    }
    Sha256::new().chain_update(prefix).chain_update(body).finalize().into()
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
fn count_operations(r: &mut Reader<'_>) -> Result<(u64, bool)> {
    let mut columns = Vec::new();
    for _ in 0..r.count(2)? {
        columns.push((r.unsigned()?, r.unsigned()?));
    }
    let mut operations = 0;
    let mut has_marks = false;
    for (specification, length) in columns {
        if specification & DEFLATED != 0 {
            return invalid("a column is compressed");
        }
        let column = r.take(length)?;
        match specification {
            COLUMN_ACTION => operations = count_runs(column, MAX_OPERATIONS, integer, |_| 1)?,
            COLUMN_PRED_GROUP => {
                count_runs(column, MAX_PREDECESSORS, integer, |n| n)?;
            }
            COLUMN_KEY_STRING | COLUMN_MARK_NAME => {
                has_marks |= specification == COLUMN_MARK_NAME && !column.is_empty();
                count_runs(column, MAX_REPEATED_BYTES, string, |n| n)?;
            }
            _ => {}
        }
    }
    Ok((operations, has_marks))
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
            return invalid("a column stands for more than the limits of one change");
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

/// A reader that never reads beyond its bytes.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8]> {
        if n > self.bytes.len() as u64 {
            return Err(truncated());
        }
        let (taken, rest) = self.bytes.split_at(n as usize);
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A count of things that take at least `size` bytes each.
    fn count(&mut self, size: u64) -> Result<u64> {
        let n = self.unsigned()?;
        if n > self.bytes.len() as u64 / size {
            return Err(truncated());
        }
        Ok(n)
    }

    fn prefixed(&mut self, limit: u64) -> Result<&'a [u8]> {
        let n = self.unsigned()?;
        if n > limit {
            return invalid("a field is too long");
        }
        self.take(n)
    }

    fn unsigned(&mut self) -> Result<u64> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        invalid("a number is too long")
    }

    fn signed(&mut self) -> Result<i64> {
        let mut value: i64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte & 0x40 != 0 && shift + 7 < 64 {
                    value |= -1 << (shift + 7);
                }
                return Ok(value);
            }
        }
        invalid("a number is too long")
    }
}

fn truncated() -> Error {
    Error::InvalidChange("the change is truncated".into())
}
