//! A document as it was at some heads, cut out of its save.
//!
//! The crate's own way applies the changes of the past one after another to an empty document: for a text of 260,000
//! keystrokes that takes 4 s. A save lists all operations in an order that stays the same for the others where some are
//! left out. So what is not in the past of the heads is left out of it, and the rest is loaded. Its heads are hashes
//! that cover every operation, and the load computes them anew.

use automerge::{Automerge, ChangeHash, ChangeMetadata, LoadOptions, ReadDoc};

use crate::chunk::{Header, DOCUMENT_CHUNK};
use crate::columns::{number, strings, unsigned, Booleans, Deltas};
use crate::encode;
use crate::error::Result;
use crate::graph::Graph;
use crate::reader::{truncated, Reader};
use crate::save::{Columns, Saved};
use crate::values::ENCODING;

/// Below this part of the operations the crate's own way is faster.
const SMALL_PART: u64 = 32;

// What a column holds: the lowest three bits of its specification. The others say which columns belong together.
const COUNTS: u64 = 0;
const ACTORS: u64 = 1;
const DELTAS: u64 = 3;
const BOOLEANS: u64 = 4;
const STRINGS: u64 = 5;
const VALUE_BYTES: u64 = 7;

/// The dependencies of a change, by where they stand among the changes.
const DEPENDENCIES: u64 = 0x43;

/// A fork on its way.
pub enum Fork {
    Done(Box<Automerge>),
    /// A save, and the heads to cut it back to.
    Cut(Vec<u8>, Vec<ChangeMetadata<'static>>),
}

impl Fork {
    /// Take what it needs from the document.
    pub fn begin(doc: &Automerge, heads: &[ChangeHash]) -> Result<Fork> {
        let metas = heads.iter().filter_map(|head| doc.get_change_meta_by_hash(head));
        let metas: Vec<_> = metas.map(ChangeMetadata::into_owned).collect();
        let last = metas.iter().map(|meta| meta.max_op).max().unwrap_or(0);
        if last <= doc.stats().num_ops / SMALL_PART {
            return Ok(Fork::Done(Box::new(doc.fork_at(heads)?)));
        }
        Ok(Fork::Cut(doc.save_nocompress(), metas))
    }

    /// Make the past of the heads a document of its own, without the one that it comes from.
    pub fn finish(self) -> Result<Automerge> {
        let (save, heads) = match self {
            Fork::Done(doc) => return Ok(*doc),
            Fork::Cut(save, heads) => (save, heads),
        };
        let header = Header::parse(&save)?;
        let saved = Saved::read(&save[header.body..header.length], &mut 0)?;
        let options = LoadOptions::new().text_encoding(ENCODING);
        Ok(Automerge::load_with_options(&encode::chunk(DOCUMENT_CHUNK, &cut(&saved, &heads)?), options)?)
    }
}

/// The past of some heads as a document of its own.
pub fn fork_at(doc: &Automerge, heads: &[ChangeHash]) -> Result<Automerge> {
    Fork::begin(doc, heads)?.finish()
}

/// The body of a document chunk without what is not in the past of some changes.
fn cut(saved: &Saved<'_>, heads: &[ChangeMetadata<'_>]) -> Result<Vec<u8>> {
    let graph = Graph::read(&saved.changes, saved.actors.len(), u64::MAX)?;
    let index = |meta: &ChangeMetadata<'_>| {
        let actor = saved.actors.binary_search(&meta.actor).ok()?;
        graph.index(actor, meta.seq)
    };
    let mut heads: Vec<_> = heads.iter().filter_map(|meta| Some((meta.hash, index(meta)?))).collect();
    let past = graph.past(heads.iter().map(|(_, change)| *change));
    let last = graph.last_operations(&past);
    let numbers = Numbers {
        actors: renumber(last.iter().map(Option::is_some)),
        changes: renumber(past.iter().copied()),
    };
    let dependencies = vec![true; graph.dependencies()];
    let changes = numbers.filter(&saved.changes, &past, &dependencies)?;
    let operations = |actor, counter| in_past(&saved.operations, actor, counter, &last);
    let operations = numbers.filter(&saved.operations, &operations(0x21, 0x23)?, &operations(0x81, 0x83)?)?;

    let built_on = graph.built_on(&past);
    heads.retain(|(_, change)| !built_on[*change]);
    heads.sort_unstable();
    heads.dedup();
    let actors: Vec<_> = saved.actors.iter().zip(&last).filter(|(_, last)| last.is_some()).collect();
    let mut body = Vec::new();
    encode::unsigned(&mut body, actors.len() as u64);
    actors.iter().for_each(|(actor, _)| encode::prefixed(&mut body, actor.to_bytes()));
    encode::unsigned(&mut body, heads.len() as u64);
    heads.iter().for_each(|(hash, _)| body.extend_from_slice(&hash.0));
    for columns in [&changes, &operations] {
        encode::unsigned(&mut body, columns.len() as u64);
        for (specification, column) in columns {
            encode::unsigned(&mut body, *specification);
            encode::unsigned(&mut body, column.len() as u64);
        }
    }
    changes.iter().chain(&operations).for_each(|(_, column)| body.extend_from_slice(column));
    Ok(body)
}

/// Which operations, named by two columns, lie in the past, where `last` is the last one of each actor.
fn in_past(columns: &Columns<'_>, actor: u64, counter: u64, last: &[Option<u32>]) -> Result<Vec<bool>> {
    let (mut actor, mut counter) = (unsigned(columns.get(actor)), Deltas::new(columns.get(counter)));
    let mut found = Vec::new();
    while !actor.at_end() {
        let (actor, counter) = (number(actor.next()?)?, number(counter.next()?)?);
        found.push(last[actor as usize].is_some_and(|last| counter <= last));
    }
    Ok(found)
}

/// The numbers of things that stay, where some do not.
fn renumber(stays: impl Iterator<Item = bool>) -> Vec<u32> {
    let number = |next: &mut u32, stays| Some(std::mem::replace(next, *next + u32::from(stays)));
    stays.scan(0, number).collect()
}

/// The new numbers of actors and changes.
struct Numbers {
    actors: Vec<u32>,
    changes: Vec<u32>,
}

impl Numbers {
    /// The rows that stay of some columns, and the items that stay of the list that each of them has.
    fn filter(&self, columns: &Columns<'_>, rows: &[bool], items: &[bool]) -> Result<Vec<(u64, Vec<u8>)>> {
        let list = columns.0.iter().map(|(column, _)| *column).find(|column| column & 7 == COUNTS);
        let (counts, items) = count(list.map_or(&[], |list| columns.get(list)), rows, items)?;
        let mut made = Vec::new();
        for (specification, column) in &columns.0 {
            let in_list = list.is_some_and(|list| list >> 4 == specification >> 4);
            let stays = if in_list { &items } else { rows };
            let column = match specification & 7 {
                COUNTS => encode::runs(&counts, write_unsigned),
                VALUE_BYTES => values(columns.get(specification - 1), column, rows)?,
                _ => self.column(*specification, column, stays)?,
            };
            made.push((*specification, column));
        }
        made.retain(|(_, column)| !column.is_empty());
        Ok(made)
    }

    fn column(&self, specification: u64, column: &[u8], stays: &[bool]) -> Result<Vec<u8>> {
        let (mut numbers, mut deltas) = (unsigned(column), Deltas::new(column));
        let (mut booleans, mut texts) = (Booleans::new(column), strings(column));
        Ok(match specification & 7 {
            DELTAS => {
                let mut rows = kept(stays, || deltas.next())?;
                if specification == DEPENDENCIES {
                    rows.iter_mut()
                        .flatten()
                        .for_each(|change| *change = self.changes[*change as usize].into());
                }
                encode::deltas(&rows)
            }
            BOOLEANS => encode::booleans(&kept(stays, || booleans.next())?),
            STRINGS => encode::runs(&kept(stays, || texts.next())?, |out, text| {
                encode::prefixed(out, text.as_bytes());
            }),
            kind => {
                let mut rows = kept(stays, || numbers.next())?;
                if kind == ACTORS {
                    rows.iter_mut().flatten().for_each(|actor| *actor = self.actors[*actor as usize].into());
                }
                encode::runs(&rows, write_unsigned)
            }
        })
    }
}

fn write_unsigned(out: &mut Vec<u8>, number: &u64) {
    encode::unsigned(out, *number);
}

/// The rows of a column that stay.
fn kept<T>(stays: &[bool], mut next: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    let mut rows = Vec::with_capacity(stays.len());
    for stays in stays {
        let row = next()?;
        if *stays {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// How many items the rows that stay still have, and which items those are.
fn count(counts: &[u8], rows: &[bool], items: &[bool]) -> Result<(Vec<Option<u64>>, Vec<bool>)> {
    let mut counts = unsigned(counts);
    let (mut left, mut stays) = (items, Vec::with_capacity(items.len()));
    let mut made = Vec::with_capacity(rows.len());
    for row in rows {
        let length = counts.next()?.unwrap_or(0) as usize;
        let (items, rest) = left.split_at_checked(length).ok_or_else(truncated)?;
        left = rest;
        if *row {
            made.push(Some(items.iter().filter(|item| **item).count() as u64));
        }
        stays.extend(items.iter().map(|item| *row && *item));
    }
    Ok((made, stays))
}

/// The bytes of the values that stay; the column before theirs has how many each one takes.
fn values(lengths: &[u8], bytes: &[u8], stays: &[bool]) -> Result<Vec<u8>> {
    let (mut lengths, mut bytes) = (unsigned(lengths), Reader::new(bytes));
    let values = kept(stays, || bytes.take(lengths.next()?.unwrap_or(0) >> 4))?;
    Ok(values.concat())
}
