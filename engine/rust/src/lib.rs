//! Strict Ed25519 verification with the GIL released, on as many threads as there are cores.
//!
//! One equation for every node: S below the group's order, A and R canonical and not of small order, cofactorless, one
//! signature at a time. A batch equation would accept what single checks refuse, and replicas would split. Sources: RFC 8032;
//! "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020).

use ed25519_dalek::{Signature, VerifyingKey};
use pyo3::prelude::*;
use std::num::NonZeroUsize;
use std::thread;

/// Below this many signatures a second thread costs more than it saves.
const PER_THREAD: usize = 8;

/// p = 2^255 - 19, little-endian.
const P: [u8; 32] = [
    0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
];

type Job = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Whether the y of an encoded point is below p.
fn is_canonical(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    y.iter().rev().lt(P.iter().rev())
}

fn key_of(bytes: &[u8]) -> Option<VerifyingKey> {
    let bytes: &[u8; 32] = bytes.try_into().ok()?;
    if !is_canonical(bytes) {
        return None;
    }
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    (!key.is_weak()).then_some(key)
}

fn verify_one((key, message, signature): &Job) -> bool {
    let Some(key) = key_of(key) else { return false };
    let Ok(bytes) = <&[u8; 64]>::try_from(signature.as_slice()) else { return false };
    let Ok(r) = <&[u8; 32]>::try_from(&bytes[..32]) else { return false };
    is_canonical(r) && key.verify_strict(message, &Signature::from_bytes(bytes)).is_ok()
}

fn verify_all(jobs: &[Job]) -> Vec<bool> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = cores.min(jobs.len() / PER_THREAD).max(1);
    if threads == 1 {
        return jobs.iter().map(verify_one).collect();
    }
    let share = jobs.len().div_ceil(threads);
    thread::scope(|scope| {
        let parts: Vec<_> =
            jobs.chunks(share).map(|part| scope.spawn(|| part.iter().map(verify_one).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

/// For each (public key, message, signature): whether the signature is that key's under the strict equation.
#[pyfunction]
fn verify_many(py: Python<'_>, jobs: Vec<Job>) -> Vec<bool> {
    py.detach(|| verify_all(&jobs))
}

/// Whether 32 bytes are a canonical point of the curve that is not of small order.
#[pyfunction]
fn is_acceptable_key(key: &[u8]) -> bool {
    key_of(key).is_some()
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(verify_many, module)?)?;
    module.add_function(wrap_pyfunction!(is_acceptable_key, module)?)?;
    Ok(())
}
