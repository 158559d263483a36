//! A saved document as it lies in a file: chunks, and the columns of a document chunk, inflated under a bound.

use std::borrow::Cow;
use std::io::Read;

use automerge::ActorId;
use flate2::read::DeflateDecoder;

use crate::chunk::{self, Kind};
use crate::encode;
use crate::error::{invalid, Result};
use crate::reader::Reader;

const DEFLATED: u64 = 8;
const MAX_ACTOR_BYTES: u64 = 128;

/// How much a file may stand for.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes, after everything in it is inflated.
    pub bytes: u64,
    /// Operations, and as many changes.
    pub operations: u64,
}

/// One chunk of a file.
pub enum Chunk<'a> {
    /// A document: the whole chunk, and its body.
    Document { chunk: &'a [u8], body: &'a [u8] },
    /// A change, as an uncompressed chunk.
    Change(Vec<u8>),
}

/// The chunks of a file.
pub struct Chunks<'a> {
    rest: &'a [u8],
    /// Bytes that may still be inflated.
    left: u64,
}

impl<'a> Chunks<'a> {
    pub fn new(file: &'a [u8], limits: Limits) -> Result<Self> {
        match limits.bytes.checked_sub(file.len() as u64) {
            Some(left) => Ok(Chunks { rest: file, left }),
            None => invalid("more bytes than allowed"),
        }
    }

    pub fn next(&mut self) -> Result<Option<Chunk<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let header = chunk::Header::parse(self.rest)?;
        let (whole, rest) = self.rest.split_at(header.length);
        let body = &whole[header.body..];
        self.rest = rest;
        Ok(Some(match header.kind {
            Kind::Document => Chunk::Document { chunk: whole, body },
            Kind::Change => Chunk::Change(whole.to_vec()),
            Kind::Deflated => Chunk::Change(encode::enclose(
                chunk::CHANGE_CHUNK,
                &whole[4..8],
                &inflate(body, &mut self.left)?,
            )),
            Kind::Other => return invalid("a chunk that is neither a document nor a change"),
        }))
    }

    /// Read the body of a document chunk.
    pub fn document(&mut self, body: &'a [u8]) -> Result<Saved<'a>> {
        Saved::read(body, &mut self.left)
    }
}

/// Inflate `data`, and count what that gives.
fn inflate(data: &[u8], left: &mut u64) -> Result<Vec<u8>> {
    let mut inflated = Vec::new();
    let read = DeflateDecoder::new(data).take(*left + 1).read_to_end(&mut inflated);
    if read.is_err() {
        return invalid("compressed bytes do not inflate");
    }
    match left.checked_sub(inflated.len() as u64) {
        Some(rest) => *left = rest,
        None => return invalid("compressed bytes stand for more than allowed"),
    }
    Ok(inflated)
}

/// A document chunk, its columns still encoded.
pub struct Saved<'a> {
    pub actors: Vec<ActorId>,
    pub changes: Columns<'a>,
    pub operations: Columns<'a>,
}

impl<'a> Saved<'a> {
    pub fn read(body: &'a [u8], left: &mut u64) -> Result<Self> {
        let mut r = Reader::new(body);
        let actors = read_actors(&mut r)?;
        let heads = r.count(32)?;
        r.take(heads * 32)?;
        let changes = read_layout(&mut r)?;
        let operations = read_layout(&mut r)?;
        let changes = Columns::read(&changes, &mut r, left)?;
        let operations = Columns::read(&operations, &mut r, left)?;
        if !r.rest().is_empty() {
            for _ in 0..heads {
                r.unsigned()?;
            }
        }
        if !r.rest().is_empty() {
            return invalid("bytes after the document");
        }
        Ok(Saved { actors, changes, operations })
    }
}

fn read_actors(r: &mut Reader<'_>) -> Result<Vec<ActorId>> {
    let mut actors: Vec<ActorId> = Vec::new();
    for _ in 0..r.count(1)? {
        let actor = ActorId::from(r.prefixed(MAX_ACTOR_BYTES)?);
        if actors.last().is_some_and(|last| *last >= actor) {
            return invalid("the actors are not sorted and unique");
        }
        actors.push(actor);
    }
    Ok(actors)
}

fn read_layout(r: &mut Reader<'_>) -> Result<Vec<(u64, u64)>> {
    let mut layout: Vec<(u64, u64)> = Vec::new();
    for _ in 0..r.count(2)? {
        let (specification, length) = (r.unsigned()?, r.unsigned()?);
        if layout.last().is_some_and(|(last, _)| last & !DEFLATED >= specification & !DEFLATED) {
            return invalid("the columns are not sorted and unique");
        }
        layout.push((specification, length));
    }
    Ok(layout)
}

/// Columns by their specification.
pub struct Columns<'a>(pub Vec<(u64, Cow<'a, [u8]>)>);

impl<'a> Columns<'a> {
    fn read(layout: &[(u64, u64)], r: &mut Reader<'a>, left: &mut u64) -> Result<Self> {
        let mut columns = Vec::new();
        for (specification, length) in layout {
            let column = r.take(*length)?;
            let deflated = specification & DEFLATED != 0;
            let column = if deflated { Cow::Owned(inflate(column, left)?) } else { Cow::Borrowed(column) };
            columns.push((specification & !DEFLATED, column));
        }
        Ok(Columns(columns))
    }

    /// A column, empty if it is not there.
    pub fn get(&self, specification: u64) -> &[u8] {
        self.0.iter().find(|(found, _)| *found == specification).map_or(&[], |(_, column)| column)
    }

    /// There must be none but these.
    pub fn only(&self, known: &[u64]) -> Result<()> {
        match self.0.iter().all(|(specification, _)| known.contains(specification)) {
            true => Ok(()),
            false => invalid("a column that is not known"),
        }
    }
}
