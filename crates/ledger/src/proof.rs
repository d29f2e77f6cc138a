//! Inclusion and consistency proofs of RFC 6962 §2.1.1 and §2.1.2, verified as RFC 9162 §2.1.3.2 and §2.1.4.2 write it down.

use crate::{hash::Hash, tree::Frontier};

/// Why a proof does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// Sizes or length do not fit.
    #[error("the proof does not fit the sizes it is for")]
    Shape,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The proof that a leaf is in the tree of the leaves. `None` if there is no such leaf.
pub fn inclusion(leaves: &[Hash], index: u64) -> Option<Vec<Hash>> {
    let index = usize::try_from(index).ok().filter(|index| *index < leaves.len())?;
    let mut proof = Vec::new();
    let (mut within, mut index) = (leaves, index);
    while within.len() > 1 {
        let (left, right) = halves(within);
        if index < left.len() {
            proof.push(root_of(right));
            within = left;
        } else {
            proof.push(root_of(left));
            index -= left.len();
            within = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Verifies that a leaf is in a tree.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, root: Hash, proof: &[Hash]) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Shape);
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for step in proof {
        if last == 0 {
            return Err(ProofError::Shape);
        }
        if node & 1 == 1 || node == last {
            hash = Hash::of_node(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = Hash::of_node(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last, hash == root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        (_, _) => Err(ProofError::Shape),
    }
}

/// The proof that the tree of all leaves begins with the tree of the first `old`. `None` if there are fewer leaves.
pub fn consistency(leaves: &[Hash], old: u64) -> Option<Vec<Hash>> {
    let mut old = usize::try_from(old).ok().filter(|old| *old <= leaves.len())?;
    let mut proof = Vec::new();
    if old == 0 || old == leaves.len() {
        return Some(proof);
    }
    let (mut within, mut whole) = (leaves, true);
    while old < within.len() {
        let (left, right) = halves(within);
        if old <= left.len() {
            proof.push(root_of(right));
            within = left;
        } else {
            proof.push(root_of(left));
            old -= left.len();
            within = right;
            whole = false;
        }
    }
    if !whole {
        proof.push(root_of(within));
    }
    proof.reverse();
    Some(proof)
}

/// Verifies that a tree begins with an older one.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    (old_size, old_root): (u64, Hash),
    (size, root): (u64, Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > size {
        return Err(ProofError::Shape);
    }
    if old_size == 0 || old_size == size {
        let same = old_root == if old_size == 0 { Hash::of_nothing() } else { root };
        return match (proof.is_empty(), same) {
            (false, _) => Err(ProofError::Shape),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    let mut steps = proof.iter();
    // A complete old tree is its own first node and is left out of the proof.
    let first = if old_size.is_power_of_two() { old_root } else { *steps.next().ok_or(ProofError::Shape)? };
    let (mut node, mut last) = (old_size - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (first, first);
    for step in steps {
        if last == 0 {
            return Err(ProofError::Shape);
        }
        if node & 1 == 1 || node == last {
            old_hash = Hash::of_node(step, &old_hash);
            new_hash = Hash::of_node(step, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = Hash::of_node(&new_hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last, old_hash == old_root && new_hash == root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        (_, _) => Err(ProofError::Shape),
    }
}

/// Splits at the largest power of two below the number of leaves.
fn halves(leaves: &[Hash]) -> (&[Hash], &[Hash]) {
    let half = leaves.len().next_power_of_two() / 2;
    leaves.split_at(half.min(leaves.len()))
}

fn root_of(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::new();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::tests::{largest_power_below, naive_root, numbered};

    /// RFC 6962 §2.1.1, word by word.
    fn naive_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
        let (mut path, other) =
            if m < left.len() { (naive_path(m, left), right) } else { (naive_path(m - left.len(), right), left) };
        path.push(naive_root(other));
        path
    }

    /// RFC 6962 §2.1.2, word by word.
    fn naive_subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if whole { Vec::new() } else { vec![naive_root(leaves)] };
        }
        let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
        let (mut proof, other) = if m <= left.len() {
            (naive_subproof(m, left, whole), right)
        } else {
            (naive_subproof(m - left.len(), right, false), left)
        };
        proof.push(naive_root(other));
        proof
    }

    #[test]
    fn every_proof_of_small_trees_is_the_defined_one_and_holds() {
        for size in 1..40_usize {
            let leaves = numbered(size);
            let root = naive_root(&leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let proof = inclusion(&leaves, index as u64).unwrap();
                assert_eq!(proof, naive_path(index, &leaves), "leaf {index} of {size}");
                assert_eq!(verify_inclusion(*leaf, index as u64, size as u64, root, &proof), Ok(()));
                for other in 0..size {
                    let holds = verify_inclusion(*leaf, other as u64, size as u64, root, &proof).is_ok();
                    assert_eq!(holds, other == index, "leaf {index} of {size} at {other}");
                }
            }
            for old in 1..=size {
                let proof = consistency(&leaves, old as u64).unwrap();
                assert_eq!(proof, naive_subproof(old, &leaves, true), "{old} of {size}");
                let (before, after) = ((old as u64, naive_root(&leaves[..old])), (size as u64, root));
                assert_eq!(verify_consistency(before, after, &proof), Ok(()), "{old} of {size}");
            }
        }
    }

    #[test]
    fn what_is_not_there_has_no_proof() {
        let leaves = numbered(3);
        assert_eq!(inclusion(&leaves, 3), None);
        assert_eq!(inclusion(&[], 0), None);
        assert_eq!(consistency(&leaves, 4), None);
        let root = naive_root(&leaves);
        assert_eq!(verify_inclusion(leaves[0], 3, 3, root, &[]), Err(ProofError::Shape));
        assert_eq!(verify_consistency((4, root), (3, root), &[]), Err(ProofError::Shape));
        assert_eq!(verify_consistency((0, Hash::of_nothing()), (3, root), &[]), Ok(()));
        assert_eq!(verify_consistency((0, root), (3, root), &[]), Err(ProofError::Root));
        assert_eq!(verify_consistency((3, leaves[0]), (3, root), &[]), Err(ProofError::Root));
    }

    proptest! {
        #[test]
        fn an_altered_proof_does_not_hold(size in 2_usize..200, at in any::<prop::sample::Index>(), step in any::<prop::sample::Index>(), bit in 0_usize..256) {
            let leaves = numbered(size);
            let root = naive_root(&leaves);
            let index = at.index(size);
            let mut proof = inclusion(&leaves, index as u64).unwrap();
            let step = step.index(proof.len());
            proof[step].0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_inclusion(leaves[index], index as u64, size as u64, root, &proof).is_err());
            proof[step].0[bit / 8] ^= 1 << (bit % 8);
            proof.push(root);
            prop_assert!(verify_inclusion(leaves[index], index as u64, size as u64, root, &proof).is_err());
            proof.truncate(proof.len() - 2);
            prop_assert!(verify_inclusion(leaves[index], index as u64, size as u64, root, &proof).is_err());
        }

        #[test]
        fn a_rewritten_past_is_not_consistent(size in 2_usize..200, old in 1_usize..200, at in any::<prop::sample::Index>()) {
            let old = old.min(size - 1);
            let leaves = numbered(size);
            let before = (old as u64, naive_root(&leaves[..old]));
            let mut rewritten = leaves.clone();
            rewritten[at.index(old)] = Hash([0; 32]);
            let after = (size as u64, naive_root(&rewritten));
            let proof = consistency(&rewritten, old as u64).unwrap();
            prop_assert!(verify_consistency(before, after, &proof).is_err());
        }
    }
}
