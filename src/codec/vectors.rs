//! Frozen test vectors of the encoders: digests of what they make of fixed inputs.

use sha2::{Digest, Sha256};

use super::interface::{Codec, Encoder};
use super::sample::Sample;

/// Frozen output of a codec at a level: a digest for each of [`Sample::ALL`].
pub(super) type Vector = (&'static str, u8, [u64; Sample::ALL.len()]);

/// Sizes of the inputs, in bytes. libzstd has other parameters for shorter and for longer inputs.
const SIZES: [usize; 2] = [64 << 10, 128 << 10];

/// Returns the first eight bytes of the SHA-256 of what `codec` makes of a sample of each size.
pub(super) fn digest(codec: &'static dyn Codec, level: u8, sample: Sample) -> u64 {
    let mut encoder = Encoder::new(codec, level);
    let mut hash = Sha256::new();
    for size in SIZES {
        hash.update(encoder.encode(&sample.bytes(size)));
    }
    let hash: [u8; 32] = hash.finalize().into();
    u64::from_be_bytes(*hash.first_chunk().expect("a SHA-256 is longer"))
}

/// All vectors.
///
/// A change of a digest changes images: it requires a new version of the layout.
#[rustfmt::skip]
pub(super) const VECTORS: [Vector; 46] = [
    ("zlib", 1, [0xa8136acee35ce7eb, 0x823a5df2fc57cf0f, 0x1a631b722bc2750e, 0xdfa599c4c4744d7c]),
    ("zlib", 2, [0xc13cd16ced89cb23, 0x16b763346b07e38e, 0xabdf5a65a9b39a1b, 0x0508c2c17a598b30]),
    ("zlib", 3, [0x9dbd69c0bf733388, 0x1a2add5cb4b756dc, 0xabdf5a65a9b39a1b, 0x474b4652bad8b4ff]),
    ("zlib", 4, [0xce8fa305d7437a9b, 0x1a2add5cb4b756dc, 0xabdf5a65a9b39a1b, 0xa9060abc5158ac4c]),
    ("zlib", 5, [0xe30801decac6e4c6, 0x1a2add5cb4b756dc, 0xabdf5a65a9b39a1b, 0x69652879f4875576]),
    ("zlib", 6, [0xb478915dba36a382, 0xe0a94f1b2218c363, 0xcb7a58d4f83b64f8, 0x817be755c84a2947]),
    ("zlib", 7, [0x887ad760bcaffea4, 0xd091a536b8f7beb2, 0x0a04f8951b156054, 0x22dd241c87972477]),
    ("zlib", 8, [0xe3f56797c7e728d4, 0xc669bdd3c2f2332f, 0x0a04f8951b156054, 0x0ca27e5e07a72c6b]),
    ("zlib", 9, [0x44856264dfbc32a7, 0x90ade65e87508cd8, 0x6cca5d7c43388682, 0x625c725c3c226754]),
    ("lzo", 0, [0x53a57895b485efb1, 0x5b9fecf0f8bf03ac, 0xa982ea0c15646a70, 0x6bf0fa39af592f42]),
    ("zstd", 1, [0x660c958f7f84fb6f, 0x2061b4400a1104f5, 0x15817a4035d62452, 0xb5ad91d7e3f9ce52]),
    ("zstd", 2, [0x88eb20c15f721bfc, 0x2061b4400a1104f5, 0x15817a4035d62452, 0x99517502e44ba241]),
    ("zstd", 3, [0x7f4cd62d97e820b9, 0x2061b4400a1104f5, 0x15817a4035d62452, 0xbddda8e8c075a33a]),
    ("zstd", 4, [0x9c1603fbc22bbeb2, 0x01967adb5f0a3adb, 0x15817a4035d62452, 0x6a1da45a25443673]),
    ("zstd", 5, [0x2c9e55b2ef9ab997, 0x4da66ee107b84d78, 0x15817a4035d62452, 0xa2735d03e50d6ea7]),
    ("zstd", 6, [0xeb338463029ec4b0, 0x168c83a86fad2f6a, 0x15817a4035d62452, 0x2f95aa2b01f33e96]),
    ("zstd", 7, [0x3b912962560c4a6e, 0x5424ec66bd02c960, 0x15817a4035d62452, 0x88ca498c77398a16]),
    ("zstd", 8, [0x481c9b3d3a57c078, 0x5424ec66bd02c960, 0x15817a4035d62452, 0x056bfe7a64b547e3]),
    ("zstd", 9, [0xf0823820bfaf0e4a, 0x5424ec66bd02c960, 0x15817a4035d62452, 0xd56da6ba168a0770]),
    ("zstd", 10, [0x0ae48221147a6e67, 0x5424ec66bd02c960, 0x15817a4035d62452, 0x7ddeb99dd65111c0]),
    ("zstd", 11, [0x9b4f3e9d055ab78b, 0x08dcd252c75573da, 0x15817a4035d62452, 0x2bca6bfd52d70565]),
    ("zstd", 12, [0x802317367e307807, 0x08dcd252c75573da, 0x15817a4035d62452, 0x0cbc3a88e657c1df]),
    ("zstd", 13, [0x28733975245bab92, 0x25e0765f37dd56e3, 0x15817a4035d62452, 0x0094aea5f0e19167]),
    ("zstd", 14, [0x582eaafb27358bc3, 0x25e0765f37dd56e3, 0x15817a4035d62452, 0xe6131a642567286d]),
    ("zstd", 15, [0x922256923219013e, 0xf8adf4a99847d903, 0x15817a4035d62452, 0x56c96203ea6098de]),
    ("zstd", 16, [0x03fba38a7f4c0ac9, 0x7582c4c7413559b8, 0x15817a4035d62452, 0xcb926ba5f535d1aa]),
    ("zstd", 17, [0x03fba38a7f4c0ac9, 0x7582c4c7413559b8, 0x15817a4035d62452, 0xbe035a0963070b7c]),
    ("zstd", 18, [0x03fba38a7f4c0ac9, 0x7582c4c7413559b8, 0x15817a4035d62452, 0xa778d3ce36de1692]),
    ("zstd", 19, [0x28bb42d9f2a3d6ff, 0x164c4558f55b71f0, 0x15817a4035d62452, 0x3ba11fab8f0c53c2]),
    ("zstd", 20, [0x28bb42d9f2a3d6ff, 0x164c4558f55b71f0, 0x15817a4035d62452, 0xfd849172c36af4d5]),
    ("zstd", 21, [0x28bb42d9f2a3d6ff, 0x164c4558f55b71f0, 0x15817a4035d62452, 0x55e4da61c646d548]),
    ("zstd", 22, [0x28bb42d9f2a3d6ff, 0x164c4558f55b71f0, 0x15817a4035d62452, 0xcdb727c6184b2b9e]),
    ("lz4", 0, [0xf34b45514230689c, 0x5cfcbb69ece7db13, 0x5c903db3126a1b9f, 0xcb32040befe4185b]),
    ("lz4", 1, [0x90e5b6e96c7fceb4, 0x6375ece3e9d3917c, 0x92eca45657c5aa68, 0x697c4f60c917d821]),
    ("lz4", 2, [0x8c52d0fc6f9a8dcd, 0x8fe6650adb452c8d, 0x92eca45657c5aa68, 0x96fd67c6f9dc8408]),
    ("lz4", 3, [0xfb505884c9161e81, 0x83f92485b0f0cc83, 0x579e09d9bcc74cbe, 0x95a4192db75cca8d]),
    ("lz4", 4, [0x463038a5e0344c26, 0x207a96dc38e592f9, 0x579e09d9bcc74cbe, 0xeeb82d0d5ebf595d]),
    ("lz4", 5, [0x66d5b07ad43f074e, 0xf62f67ab707f86b0, 0x579e09d9bcc74cbe, 0xbe7a54408205fe20]),
    ("lz4", 6, [0x40e10ae4a3e56b8e, 0x7c79991c36490304, 0x579e09d9bcc74cbe, 0xeca9e741caa5395b]),
    ("lz4", 7, [0x1798811e84504261, 0x7c79991c36490304, 0x579e09d9bcc74cbe, 0x00673f7662af19ee]),
    ("lz4", 8, [0x6c1ccbe2bb35e9fe, 0x7c79991c36490304, 0x579e09d9bcc74cbe, 0x14109fe2b36428fe]),
    ("lz4", 9, [0x353d2c1521eb9faf, 0x10c831b75df3702a, 0x579e09d9bcc74cbe, 0xb514f958159dc776]),
    ("lz4", 10, [0x89a0717af0e2d479, 0x5b5bcb94fe4c2c2a, 0x579e09d9bcc74cbe, 0x84cf95cae407a8b3]),
    ("lz4", 11, [0xdd4773d151884343, 0x0127add5ce1cfa9c, 0x579e09d9bcc74cbe, 0x495ae7ad0589fa02]),
    ("lz4", 12, [0x117e6cba67d9cb38, 0x0127add5ce1cfa9c, 0x579e09d9bcc74cbe, 0xf3d1546593445d54]),
    ("xz", 0, [0xc50733e552bcc4ee, 0xd516bdf29d24a8e9, 0xd7517987fe7bd9ca, 0x1eb637a661ff26f3]),
];
