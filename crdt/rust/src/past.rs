//! What lies in the past of a change.

use std::rc::Rc;

use automerge::legacy::{Op, OpId};
use automerge::{ActorId, Automerge, ChangeHash, ExpandedChange, ObjId, ReadDoc};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use crate::clock::Clock;
use crate::error::{invalid, Result};
use crate::facts::{Fact, Names, ObjKey, OpKey};
use crate::giants::Giants;

/// Most operations for which room is made before they are there.
const MOST_ROOM: u64 = 1 << 20;

/// Where the whole document was looked through so often to find pasts, the clocks of all its changes are worked out.
const LOOKS: usize = 2;

/// Which changes a change builds on, in whole.
#[derive(Clone)]
pub struct Past {
    base: Rc<Base>,
    /// What of the batch it builds on; of the document too, where that is not in the base.
    batch: Clock,
    /// Its actor, and the last seq of that: so the changes of one writer, one after the other, share a clock.
    own: (u32, u64),
}

/// What of the document lies in the past of some of its changes.
struct Base {
    /// These changes: what is built on, directly or through the batch; sorted.
    roots: Vec<ChangeHash>,
    /// The first seq of each actor that does not.
    excluded: HashMap<u32, u64>,
}

impl Past {
    /// Count a change itself to its past, while its operations are checked.
    pub fn include(&mut self, seq: u64) {
        self.own.1 = seq;
    }

    /// Whether a change lies in the past; `in_document`: it is not one of the batch.
    pub fn contains(&self, actor: u32, seq: u64, in_document: bool) -> bool {
        if (actor == self.own.0 && seq <= self.own.1) || seq <= self.batch.last(actor) {
            return true;
        }
        let base = &self.base;
        in_document && !base.roots.is_empty() && base.excluded.get(&actor).is_none_or(|first| seq < *first)
    }
}

/// A change of the batch that was found valid.
pub struct Placed {
    pub max_op: u64,
    past: Past,
}

/// Everything that checking a batch needs to know, read from the document as it is asked for.
pub struct Known<'d> {
    doc: &'d Automerge,
    names: Names,
    giants: &'d mut Giants,
    /// How deep objects lie below the root.
    depths: HashMap<OpKey, usize>,
    facts: HashMap<OpKey, Fact>,
    bases: HashMap<Vec<ChangeHash>, Rc<Base>>,
    /// How many changes of the document were looked at to find the bases.
    looked: usize,
    /// The clocks of all changes of the document, once they are known.
    clocks: Option<HashMap<ChangeHash, Clock>>,
    placed: HashMap<[u8; 32], Placed>,
    seqs: HashMap<u32, u64>,
    batch_seqs: HashSet<(u32, u64)>,
}

impl<'d> Known<'d> {
    /// For so many changes, with so many operations together.
    pub fn new(
        doc: &'d Automerge,
        giants: &'d mut Giants,
        seqs: HashMap<ActorId, u64>,
        changes: usize,
        operations: u64,
    ) -> Self {
        let operations = operations.min(MOST_ROOM) as usize;
        let mut known = Known {
            doc,
            names: Names::default(),
            giants,
            depths: HashMap::new(),
            facts: HashMap::with_capacity(operations),
            bases: HashMap::new(),
            looked: 0,
            clocks: None,
            placed: HashMap::with_capacity(changes),
            seqs: HashMap::new(),
            batch_seqs: HashSet::with_capacity(changes),
        };
        for (actor, seq) in seqs {
            let number = known.actor(&actor);
            known.seqs.insert(number, seq);
        }
        known
    }

    pub fn actor(&mut self, actor: &ActorId) -> u32 {
        self.names.actor(actor)
    }

    /// Take note of a new object in another one; how deep it lies.
    pub fn nest(&mut self, id: OpKey, inside: ObjKey) -> Result<usize> {
        let depth = 1 + inside.map_or(Ok(0), |inside| self.depth(inside))?;
        self.depths.insert(id, depth);
        Ok(depth)
    }

    fn depth(&mut self, obj: OpKey) -> Result<usize> {
        if let Some(depth) = self.depths.get(&obj) {
            return Ok(*depth);
        }
        let name = self.names.name(obj.0).clone();
        let depth = self.doc.parents(ObjId::Id(obj.1, name, 0))?.count();
        self.depths.insert(obj, depth);
        Ok(depth)
    }

    /// Whether a change of the batch has this actor and seq.
    pub fn has_batch_seq(&self, actor: u32, seq: u64) -> bool {
        self.batch_seqs.contains(&(actor, seq))
    }

    /// The last seq of an actor of the batch that is in the document already.
    pub fn document_seq(&self, actor: u32) -> u64 {
        self.seqs.get(&actor).copied().unwrap_or(0)
    }

    pub fn op(&mut self, id: &OpId) -> OpKey {
        self.names.op(id)
    }

    /// The past of a change of an actor with these dependencies, and the highest operation in it.
    pub fn past(&mut self, actor: u32, deps: &[[u8; 32]]) -> Result<(Past, u64)> {
        let mut roots = Vec::new();
        let mut bases: Vec<Rc<Base>> = Vec::new();
        let mut batch = Clock::default();
        let mut own = (actor, 0);
        let mut max_op = 0;
        for dep in deps {
            if let Some(placed) = self.placed.get(dep) {
                max_op = max_op.max(placed.max_op);
                batch.join(placed.past.batch.clone());
                match placed.past.own {
                    (writer, seq) if writer == actor => own.1 = seq.max(own.1),
                    (writer, seq) => batch.raise(writer, seq),
                }
                if !bases.iter().any(|base| Rc::ptr_eq(base, &placed.past.base)) {
                    bases.push(placed.past.base.clone());
                }
            } else if let Some(meta) = self.doc.get_change_meta_by_hash(&ChangeHash(*dep)) {
                max_op = max_op.max(meta.max_op);
                roots.push(ChangeHash(*dep));
            } else {
                return invalid("a dependency of the change is not valid");
            }
        }
        let base = match (&roots[..], &bases[..]) {
            ([], [base]) => base.clone(),
            _ => {
                bases.iter().for_each(|base| roots.extend_from_slice(&base.roots));
                if self.looked > LOOKS * self.doc.stats().num_changes as usize {
                    let clocks = self.clocks();
                    for clock in roots.iter().filter_map(|root| clocks.get(root)) {
                        batch.join(clock.clone());
                    }
                    roots.clear();
                }
                self.base(roots)
            }
        };
        Ok((Past { base, batch, own }, max_op))
    }

    fn base(&mut self, mut roots: Vec<ChangeHash>) -> Rc<Base> {
        roots.sort_unstable();
        roots.dedup();
        if let Some(base) = self.bases.get(&roots) {
            return base.clone();
        }
        let mut excluded: HashMap<u32, u64> = HashMap::new();
        if !roots.is_empty() && roots != self.doc.get_heads() {
            for meta in self.doc.get_changes_meta(&roots) {
                self.looked += 1;
                let actor = self.actor(&meta.actor);
                let first = excluded.entry(actor).or_insert(meta.seq);
                *first = (*first).min(meta.seq);
            }
        }
        let base = Rc::new(Base { roots: roots.clone(), excluded });
        self.bases.insert(roots, base.clone());
        base
    }

    /// The clock of each change of the document.
    fn clocks(&mut self) -> &HashMap<ChangeHash, Clock> {
        if self.clocks.is_none() {
            let mut clocks: HashMap<ChangeHash, Clock> = HashMap::new();
            // Each comes after what it builds on.
            for meta in self.doc.get_changes_meta(&[]) {
                let mut clock = Clock::default();
                for dep in meta.deps.iter().filter_map(|dep| clocks.get(dep)) {
                    clock.join(dep.clone());
                }
                clock.raise(self.names.actor(&meta.actor), meta.seq);
                clocks.insert(meta.hash, clock);
            }
            self.clocks = Some(clocks);
        }
        self.clocks.get_or_insert_default()
    }

    /// Remember a change that was found valid.
    pub fn place(&mut self, hash: [u8; 32], actor: u32, seq: u64, max_op: u64, past: Past) {
        self.batch_seqs.insert((actor, seq));
        self.placed.insert(hash, Placed { max_op, past });
    }

    /// What an operation was, if it exists in the past.
    pub fn fact(&mut self, id: OpKey, actor: &ActorId, past: &Past) -> Option<Fact> {
        if let Some(fact) = self.facts.get(&id) {
            let fact = *fact;
            let in_document = !self.is_of_batch(id.0, fact.seq);
            return past.contains(id.0, fact.seq, in_document).then_some(fact);
        }
        let hash = self.doc.hash_for_opid(&ObjId::Id(id.1, actor.clone(), 0))?;
        let fact = match self.giants.fact(self.doc, &hash, id.1, &mut self.names) {
            Some(fact) => fact,
            None => {
                let change = self.doc.get_change_by_hash(&hash)?;
                self.learn(&change.decode());
                *self.facts.get(&id)?
            }
        };
        past.contains(id.0, fact.seq, true).then_some(fact)
    }

    fn is_of_batch(&self, actor: u32, seq: u64) -> bool {
        self.seqs.get(&actor).is_some_and(|last| seq > *last)
    }

    /// Take note of every operation of a change of the document.
    fn learn(&mut self, change: &ExpandedChange) {
        let actor = self.actor(&change.actor_id);
        for (i, op) in change.operations.iter().enumerate() {
            let fact = self.read(op, change.seq);
            self.facts.insert((actor, change.start_op.get() + i as u64), fact);
        }
    }

    /// Take note of one operation.
    pub fn add(&mut self, id: OpKey, fact: Fact) {
        self.facts.insert(id, fact);
    }

    pub fn read(&mut self, op: &Op, seq: u64) -> Fact {
        self.names.read(op, seq)
    }
}
