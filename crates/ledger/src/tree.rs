//! The growing side of the tree of RFC 6962 §2.1: the roots of its complete subtrees, enough to append and to know the root.

use crate::hash::Hash;

/// The frontier of a tree: one root per set bit of its size, largest subtree first. At most 64 hashes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

/// The number of roots does not fit the size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a tree of {size} leaves has a frontier of {expected} hashes, not {found}")]
pub struct InvalidFrontier {
    /// The size given.
    pub size: u64,
    /// How many roots it has.
    pub expected: usize,
    /// How many were given.
    pub found: usize,
}

impl Frontier {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a frontier that was stored.
    ///
    /// # Errors
    /// [`InvalidFrontier`] if there is not one root per set bit of the size.
    pub fn from_parts(size: u64, roots: Vec<Hash>) -> Result<Self, InvalidFrontier> {
        let expected = size.count_ones() as usize;
        if roots.len() == expected {
            Ok(Self { size, roots })
        } else {
            Err(InvalidFrontier { size, expected, found: roots.len() })
        }
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, largest first.
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Every trailing one of the size is a complete subtree as large as the one in hand: they become one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                node = Hash::of_node(&left, &node);
            }
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let mut rest = self.roots.iter().rev();
        match rest.next() {
            None => Hash::of_nothing(),
            Some(last) => rest.fold(*last, |right, left| Hash::of_node(left, &right)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::digest;
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962 §2.1, word by word.
    pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of_nothing(),
            [leaf] => *leaf,
            more => {
                let (left, right) = more.split_at(largest_power_below(more.len()));
                Hash::of_node(&naive_root(left), &naive_root(right))
            }
        }
    }

    pub(crate) fn largest_power_below(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }

    pub(crate) fn numbered(count: usize) -> Vec<Hash> {
        (0..count).map(|n| Hash::of_leaf(&[1; 16], n.to_string().as_bytes())).collect()
    }

    fn tree_of(leaves: &[Hash]) -> Frontier {
        let mut tree = Frontier::new();
        for leaf in leaves {
            tree.push(*leaf);
        }
        tree
    }

    /// The leaves and roots that Certificate Transparency implementations test with.
    #[test]
    fn roots_are_the_published_ones() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Frontier::new();
        for (data, root) in leaves.into_iter().zip(roots) {
            let mut prefixed = vec![0];
            prefixed.extend_from_slice(data);
            let digest = digest::digest(&digest::SHA256, &prefixed);
            tree.push(Hash(digest.as_ref().try_into().unwrap()));
            assert_eq!(ambit_model::Digest(tree.root().0).to_string(), format!("sha256:{root}"));
        }
    }

    #[test]
    fn a_stored_frontier_must_fit_its_size() {
        let tree = tree_of(&numbered(11));
        let again = Frontier::from_parts(11, tree.roots().to_vec()).unwrap();
        assert_eq!(again, tree);
        assert!(Frontier::from_parts(12, tree.roots().to_vec()).is_err());
        assert!(Frontier::from_parts(0, vec![Hash::of_nothing()]).is_err());
    }

    proptest! {
        #[test]
        fn the_root_is_that_of_the_definition(count in 0_usize..300) {
            let leaves = numbered(count);
            let tree = tree_of(&leaves);
            prop_assert_eq!(tree.size(), count as u64);
            prop_assert_eq!(tree.root(), naive_root(&leaves));
        }

        #[test]
        fn one_other_leaf_is_another_root(count in 1_usize..200, at in any::<prop::sample::Index>()) {
            let mut leaves = numbered(count);
            let before = naive_root(&leaves);
            leaves[at.index(count)] = Hash([0; 32]);
            prop_assert_ne!(naive_root(&leaves), before);
        }
    }
}
