//! Tests of the boot sector and of FSInfo.

use crate::MIB;
use detfs::fat::{Options, Variant};

use super::image::Image;
use super::sample::{Sample, options, sized, small};

/// Every field, computed by hand from the specification.
#[test]
fn boot_sectors_are_golden() {
    let of = |size, sector_size, hidden_sectors| Options {
        sector_size,
        hidden_sectors,
        label: (hidden_sectors > 0).then(|| "esp".to_owned()),
        ..sized(size)
    };
    for (options, golden) in [
        (
            of(MIB, 512, 0),
            "eb3c90 4d5357494e342e31 0002 08 0800 02 0002 0008 f8 0800 3f00 ff00 00000000 00000000 \
             80 00 29 cdab3412 NO NAME    FAT12   ",
        ),
        (
            of(32 * MIB, 512, 2048),
            "eb3c90 4d5357494e342e31 0002 08 0800 02 0002 0000 f8 2000 3f00 ff00 00080000 00000100 \
             80 00 29 cdab3412 ESP        FAT16   ",
        ),
        (
            of(33 * MIB, 512, 2048),
            "eb5890 4d5357494e342e31 0002 01 2000 02 0000 0000 f8 0000 3f00 ff00 00080000 00080100 \
             08020000 0000 0000 02000000 0100 0600 000000000000000000000000 \
             80 00 29 cdab3412 ESP        FAT32   ",
        ),
        (
            of(260 * MIB, 4096, 256),
            "eb5890 4d5357494e342e31 0010 01 2000 02 0000 0000 f8 0000 3f00 ff00 00010000 00040100 \
             41000000 0000 0000 02000000 0100 0600 000000000000000000000000 \
             80 00 29 cdab3412 ESP        FAT32   ",
        ),
    ] {
        let image = Image::new(small(), &options);
        image.check();
        let sector = image.read(0, 512);
        let code = if image.plan.variant == Variant::Fat32 { 90 } else { 62 };
        let hex: String = sector[..code - 19].iter().map(|byte| format!("{byte:02x}")).collect();
        let (numbers, names) = golden.split_at(golden.find("cdab3412").unwrap() + 8);
        assert_eq!(hex, numbers.replace(' ', ""), "{options:?}");
        assert_eq!(sector[code - 19..code], names.as_bytes()[1..]);
        assert_eq!(sector[code..code + 5], [0xcd, 0x18, 0xf4, 0xeb, 0xfd]);
        assert!(sector[code + 5..510].iter().all(|&byte| byte == 0));
        assert_eq!(sector[510..], [0x55, 0xaa]);
        // FAT32 has copies of the first three sectors.
        let sector = image.u16(11);
        if image.plan.variant == Variant::Fat32 {
            let three = usize::try_from(3 * sector).unwrap();
            assert_eq!(image.read(0, three), image.read(6 * sector, three));
            assert_eq!(image.read(2 * sector + 510, 2), [0x55, 0xaa]);
        }
    }
}

#[test]
fn fs_info_is_exact() {
    for sector_size in [512, 4096] {
        let options = Options { variant: Some(Variant::Fat32), sector_size, ..options() };
        let image = Image::new(small(), &options);
        image.check();
        let (_, clusters) = image.as_read();
        let (count, first) = image.used(clusters);
        let info = u64::from(sector_size);
        assert_eq!(image.u32(info + 488), clusters - count);
        assert_eq!(image.u32(info + 492), first);
        assert_eq!(first, count + 2);

        // A volume that is full to the last cluster has no next free cluster.
        let mut sample = Sample::new();
        sample.huge("data", (clusters - 1) * info);
        let image =
            Image::new(sample, &Options { size: Some(image.plan.layout.size()), ..options });
        image.check();
        assert_eq!(image.as_read().1, clusters);
        assert_eq!(image.used(clusters), (clusters, 0));
        assert_eq!(image.u32(info + 488), 0);
        assert_eq!(image.u32(info + 492), 0xffff_ffff);
    }
}
