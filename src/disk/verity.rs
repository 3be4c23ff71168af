//! A root file system that dm-verity protects: with a hash tree, and a signature of its root hash.

use std::fmt;
#[cfg(feature = "verity-sign")]
use std::sync::Arc;

use super::content::Content;
use super::definition::{Definition, SizePolicy};
use super::partition::{ALIGNMENT, Identity};
use crate::error::Result;
use crate::format::{Format, PlannedFs, PreparedFs};
use crate::gpt::{Architecture, Attributes, PartitionType, Role};
use crate::hex::hex;
use crate::layout::{self, Layout};
use crate::seed::{Seed, verity_partitions};
use crate::size::{Headroom, round_up};
#[cfg(feature = "verity-sign")]
use crate::verity::signature::{Certificate, PrivateKey, Signature};
use crate::verity::{HashTree, Parameters};

/// How dm-verity protects the root file system.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Verity {
    /// Key and certificate to sign the root hash with. `None` for no signature partition.
    #[cfg(feature = "verity-sign")]
    pub signer: Option<Arc<(PrivateKey, Certificate)>>,
}

/// The root hash of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootHash {
    /// Hash that authenticates all of the root file system. Its halves are the GUIDs of the data
    /// and the hash partition.
    pub bytes: [u8; 32],
    /// Whether there is a signature partition.
    pub is_signed: bool,
}

impl fmt::Display for RootHash {
    /// Writes the hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.bytes))
    }
}

/// The protected root with everything that protects it.
pub(super) struct ProtectedRoot {
    pub(super) root_hash: RootHash,
    /// Contents of the data, hash and signature partition, with their sizes.
    contents: Vec<(Content, u64)>,
}

/// Returns the definitions of the data, the hash and the signature partition.
pub(super) fn definitions(
    architecture: Architecture,
    label: Option<&String>,
    verity: &Verity,
) -> Vec<Definition> {
    let role = |role| Definition {
        attributes: Some(Attributes::READ_ONLY),
        ..Definition::new(PartitionType::Of(role, architecture))
    };
    let data = Definition { label: label.cloned(), ..role(Role::Root) };
    let signature = verity.is_signed().then(|| role(Role::RootVeritySig));
    [data, role(Role::RootVerity)].into_iter().chain(signature).collect()
}

impl Verity {
    /// Plans the root file system in the smallest size, and computes its hash tree, for which all
    /// content is read.
    pub(super) fn protect(
        &self,
        format: &dyn Format,
        root: &dyn PreparedFs,
        seed: Seed,
        options: &layout::Options<'_>,
    ) -> Result<ProtectedRoot> {
        let PlannedFs { layout, file_system, warnings } =
            root.plan_smallest(Some(Headroom::Bytes(0)))?;
        let data_size = round_up(layout.size(), ALIGNMENT);
        let mut data = Layout::new(data_size);
        data.add_layout(0, layout);
        let layout = data.seal();
        let parameters = Parameters {
            data_size,
            // A file system can't have smaller blocks than its device.
            data_block_size: u32::try_from(format.limits(BLOCK_SIZE)?.multiple)
                .map_or(BLOCK_SIZE, |multiple| multiple.min(BLOCK_SIZE)),
            hash_block_size: BLOCK_SIZE,
            salt: seed.verity_salt(),
            uuid: seed.verity_uuid(),
        };
        let HashTree { root_hash, bytes } = HashTree::of_layout(&layout, parameters, options)?;
        let signature = self.signature(root_hash)?;
        let is_signed = signature.is_some();
        let data = Content::Planned(PlannedFs { layout, file_system, warnings }.into());
        let others = [bytes].into_iter().chain(signature.map(String::into_bytes));
        let others = others.map(|bytes| {
            let size = round_up(bytes.len() as u64, ALIGNMENT);
            (Content::Bytes(bytes), size)
        });
        let contents = [(data, data_size)].into_iter().chain(others).collect();
        Ok(ProtectedRoot { root_hash: RootHash { bytes: root_hash, is_signed }, contents })
    }

    #[cfg(feature = "verity-sign")]
    fn is_signed(&self) -> bool {
        self.signer.is_some()
    }

    #[cfg(not(feature = "verity-sign"))]
    fn is_signed(&self) -> bool {
        false
    }

    /// Returns the content of the signature partition, if there is one.
    #[cfg(feature = "verity-sign")]
    fn signature(&self, root_hash: [u8; 32]) -> Result<Option<String>> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let (key, certificate) = &**signer;
        Signature::sign(root_hash, key, certificate)?.json().map(Some)
    }

    #[cfg(not(feature = "verity-sign"))]
    fn signature(&self, _root_hash: [u8; 32]) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Size of the blocks of the hash tree, in bytes, and of those that it protects, if the file system
/// has no smaller ones: the largest that all kernels accept.
const BLOCK_SIZE: u32 = 4096;

impl ProtectedRoot {
    /// Gives the data and the hash partition the ids by which a system finds them.
    pub(super) fn set_ids(&self, identities: &mut [Identity]) {
        let (data, hash) = verity_partitions(self.root_hash.bytes);
        for identity in identities {
            match identity.partition_type {
                PartitionType::Of(Role::Root, _) => identity.uuid = data,
                PartitionType::Of(Role::RootVerity, _) => identity.uuid = hash,
                _ => {}
            }
        }
    }

    /// Returns the contents of the partitions, and sets the sizes of their definitions, which are
    /// the last ones.
    pub(super) fn contents(self, definitions: &mut [Definition]) -> Vec<Content> {
        let start = definitions.len() - self.contents.len();
        let contents = self.contents.into_iter().zip(&mut definitions[start..]);
        let content = |((content, size), definition): ((Content, u64), &mut Definition)| {
            definition.size = SizePolicy::exactly(size);
            content
        };
        contents.map(content).collect()
    }
}
