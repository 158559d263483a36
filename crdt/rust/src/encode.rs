//! Columns of a chunk, written in the one way in which the crate writes them. An empty column has no value in any row.

use sha2::{Digest, Sha256};

pub const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// A run of one value, which is no repetition: -1.
pub const LITERAL: u8 = 0x7f;

pub fn unsigned(out: &mut Vec<u8>, mut n: u64) {
    while n > 0x7f {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub fn signed(out: &mut Vec<u8>, mut n: i64) {
    while !(-0x40..0x40).contains(&n) {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8 & 0x7f);
}

pub fn prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    unsigned(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A run-length encoded column.
pub fn runs<T: PartialEq>(rows: &[Option<T>], write: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut out = Vec::new();
    if rows.iter().all(Option::is_none) {
        return out;
    }
    let mut single: Vec<&T> = Vec::new();
    for run in rows.chunk_by(|a, b| a == b) {
        match &run[0] {
            Some(value) if run.len() == 1 => single.push(value),
            value => {
                literal(&mut out, &mut single, &write);
                repeated(&mut out, value.as_ref(), run.len(), &write);
            }
        }
    }
    literal(&mut out, &mut single, &write);
    out
}

fn repeated<T>(out: &mut Vec<u8>, value: Option<&T>, length: usize, write: impl Fn(&mut Vec<u8>, &T)) {
    match value {
        Some(value) => {
            signed(out, length as i64);
            write(out, value);
        }
        None => {
            signed(out, 0);
            unsigned(out, length as u64);
        }
    }
}

fn literal<T>(out: &mut Vec<u8>, values: &mut Vec<&T>, write: impl Fn(&mut Vec<u8>, &T)) {
    if !values.is_empty() {
        signed(out, -(values.len() as i64));
        values.drain(..).for_each(|value| write(out, value));
    }
}

/// A column of differences.
pub fn deltas(rows: &[Option<i64>]) -> Vec<u8> {
    let mut last = 0;
    let step = |value: &Option<i64>| value.map(|value| value - std::mem::replace(&mut last, value));
    let steps: Vec<_> = rows.iter().map(step).collect();
    runs(&steps, |out, step| signed(out, *step))
}

/// A column of booleans.
pub fn booleans(rows: &[bool]) -> Vec<u8> {
    let mut out = Vec::new();
    if rows.contains(&true) {
        if rows[0] {
            unsigned(&mut out, 0);
        }
        rows.chunk_by(|a, b| a == b).for_each(|run| unsigned(&mut out, run.len() as u64));
    }
    out
}

/// A chunk around a body.
pub fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let hash = hash(kind, body);
    enclose(kind, &hash[..4], body)
}

/// The same with a checksum that is known.
pub fn enclose(kind: u8, checksum: &[u8], body: &[u8]) -> Vec<u8> {
    [&MAGIC, checksum, &head(kind, body), body].concat()
}

/// The hash of a chunk.
pub fn hash(kind: u8, body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(head(kind, body)).chain_update(body).finalize().into()
}

/// The kind and length of a chunk around a body.
fn head(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut head = vec![kind];
    unsigned(&mut head, body.len() as u64);
    head
}
