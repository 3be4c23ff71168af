//! A file system that dm-verity protects, the root or `/usr`: with a hash tree, and a signature of
//! its root hash.

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

/// How dm-verity protects the root file system, or `/usr`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Verity {
    /// Key and certificate to sign the root hash with. `None` for no signature partition.
    #[cfg(feature = "verity-sign")]
    pub signer: Option<Arc<(PrivateKey, Certificate)>>,
}

/// The file system that dm-verity protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerityTarget {
    /// The root file system.
    Root,
    /// The file system of `/usr`.
    Usr,
}

impl VerityTarget {
    /// Returns the roles of the data, the hash and the signature partition.
    pub(super) fn roles(self) -> [Role; 3] {
        match self {
            Self::Root => [Role::Root, Role::RootVerity, Role::RootVeritySig],
            Self::Usr => [Role::Usr, Role::UsrVerity, Role::UsrVeritySig],
        }
    }

    /// Returns the option of the kernel whose value is the root hash, with its equals sign.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Root => "roothash=",
            Self::Usr => "usrhash=",
        }
    }

    /// Returns the name of the file system: `root` or `usr`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Usr => "usr",
        }
    }
}

/// The root hash of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootHash {
    /// File system that it authenticates.
    pub target: VerityTarget,
    /// Hash that authenticates all of the file system. Its halves are the GUIDs of the data
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

/// The protected file system with everything that protects it.
pub(super) struct ProtectedFs {
    pub(super) root_hash: RootHash,
    /// Contents of the data, hash and signature partition, with their sizes.
    contents: Vec<(Content, u64)>,
}

/// Returns the definitions of the data, the hash and the signature partition.
pub(super) fn definitions(
    architecture: Architecture,
    target: VerityTarget,
    label: Option<&String>,
    verity: &Verity,
) -> Vec<Definition> {
    let [data, hash, signature] = target.roles();
    let role = |role| Definition {
        attributes: Some(Attributes::READ_ONLY),
        ..Definition::new(PartitionType::Of(role, architecture))
    };
    let data = Definition { label: label.cloned(), ..role(data) };
    let signature = verity.is_signed().then(|| role(signature));
    [data, role(hash)].into_iter().chain(signature).collect()
}

impl Verity {
    /// Plans the file system in the smallest size, and computes its hash tree, for which all
    /// content is read.
    pub(super) fn protect(
        &self,
        target: VerityTarget,
        (format, prepared): (&dyn Format, &dyn PreparedFs),
        seed: Seed,
        options: &layout::Options<'_>,
    ) -> Result<ProtectedFs> {
        let PlannedFs { layout, file_system, warnings } =
            prepared.plan_smallest(Some(Headroom::Bytes(0)))?;
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
        Ok(ProtectedFs { root_hash: RootHash { target, bytes: root_hash, is_signed }, contents })
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

impl ProtectedFs {
    /// Gives the data and the hash partition the ids by which a system finds them.
    pub(super) fn set_ids(&self, identities: &mut [Identity]) {
        let (data, hash) = verity_partitions(self.root_hash.bytes);
        let [data_role, hash_role, _] = self.root_hash.target.roles();
        for identity in identities {
            match identity.partition_type {
                PartitionType::Of(role, _) if role == data_role => identity.uuid = data,
                PartitionType::Of(role, _) if role == hash_role => identity.uuid = hash,
                _ => {}
            }
        }
    }

    /// Returns the contents of the partitions, and sets the sizes of their definitions, which are
    /// the first ones.
    pub(super) fn contents(self, definitions: &mut [Definition]) -> Vec<Content> {
        let contents = self.contents.into_iter().zip(definitions);
        let content = |((content, size), definition): ((Content, u64), &mut Definition)| {
            definition.size = SizePolicy::exactly(size);
            content
        };
        contents.map(content).collect()
    }
}
