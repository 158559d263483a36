//! Changes on their way in: decoded once, new to the document, dependencies first.

use std::collections::{HashMap, HashSet};

use automerge::{Automerge, Change, ChangeHash, ReadDoc};

use crate::chunk::Head;
use crate::error::{guard, Error, Result};

/// One change that is not in the document yet.
pub struct Incoming {
    pub change: Change,
    pub head: Head,
}

/// Decode changes, each once, with at most `most` operations in each.
pub fn read(bytes: Vec<Vec<u8>>, most: u64) -> Result<Vec<Incoming>> {
    let mut seen = HashSet::new();
    let mut incoming = Vec::with_capacity(bytes.len());
    for bytes in bytes {
        let head = Head::parse(&bytes, most)?;
        if seen.insert(head.hash) {
            let change = guard(|| Change::from_bytes(bytes).map_err(|e| Error::InvalidChange(e.to_string())))
                .map_err(|_| Error::InvalidChange("the columns of the change do not decode".into()))?;
            incoming.push(Incoming { change, head });
        }
    }
    Ok(incoming)
}

/// Leave out those that are here.
pub fn new_ones(doc: &Automerge, incoming: Vec<Incoming>) -> Vec<Incoming> {
    let hashes: Vec<_> = incoming.iter().map(|c| ChangeHash(c.head.hash)).collect();
    let missing: HashSet<_> = doc.get_missing_deps(&hashes).into_iter().collect();
    incoming.into_iter().filter(|c| missing.contains(&ChangeHash(c.head.hash))).collect()
}

/// Sort so that dependencies come first; stable for changes that are ordered already.
pub fn order(doc: &Automerge, incoming: Vec<Incoming>) -> Result<Vec<Incoming>> {
    let index = by_hash(&incoming);
    let missing = missing(doc, &incoming, &index);
    if !missing.is_empty() {
        return Err(Error::MissingDependencies(missing.iter().map(|h| h.0).collect()));
    }
    let sorted = topological(&incoming, &index);
    let mut slots: Vec<Option<Incoming>> = incoming.into_iter().map(Some).collect();
    Ok(sorted.into_iter().filter_map(|i| slots[i].take()).collect())
}

/// Leave out those that build, directly or through others of them, on what is not here.
pub fn ready(doc: &Automerge, incoming: Vec<Incoming>) -> Vec<Incoming> {
    let index = by_hash(&incoming);
    let mut missing: HashSet<[u8; 32]> = missing(doc, &incoming, &index).into_iter().map(|h| h.0).collect();
    for i in topological(&incoming, &index) {
        let head = &incoming[i].head;
        if head.deps.iter().any(|dep| missing.contains(dep)) {
            missing.insert(head.hash);
        }
    }
    incoming.into_iter().filter(|c| !missing.contains(&c.head.hash)).collect()
}

fn by_hash(incoming: &[Incoming]) -> HashMap<[u8; 32], usize> {
    incoming.iter().enumerate().map(|(i, c)| (c.head.hash, i)).collect()
}

/// Dependencies that are neither here nor among the changes.
fn missing(doc: &Automerge, incoming: &[Incoming], index: &HashMap<[u8; 32], usize>) -> Vec<ChangeHash> {
    let deps = incoming.iter().flat_map(|c| &c.head.deps).filter(|dep| !index.contains_key(*dep));
    let outside: Vec<ChangeHash> = deps.map(|dep| ChangeHash(*dep)).collect();
    doc.get_missing_deps(&outside)
}

fn topological(incoming: &[Incoming], index: &HashMap<[u8; 32], usize>) -> Vec<usize> {
    let mut sorted = Vec::with_capacity(incoming.len());
    let mut visited = vec![false; incoming.len()];
    for start in 0..incoming.len() {
        let mut stack = vec![(start, false)];
        while let Some((i, expanded)) = stack.pop() {
            if expanded {
                sorted.push(i);
                continue;
            }
            if std::mem::replace(&mut visited[i], true) {
                continue;
            }
            stack.push((i, true));
            let deps = incoming[i].head.deps.iter().rev();
            stack.extend(deps.filter_map(|d| index.get(d)).filter(|d| !visited[**d]).map(|d| (*d, false)));
        }
    }
    sorted
}
