//! Proving pages: every page that is read is the one that the commit wrote, to the bit.
//!
//! The engine keeps the checksum of each page in the page above it, up to the header, but checks
//! them only in a repair. So a bad page could give an answer from another state, or make the engine
//! panic: in a copy that was taken while somebody wrote, in a file that was replaced in place below
//! a server, or on a disk that lost or mixed up pages. Here each page is compared with the checksum
//! in the page above it before the engine sees it. Values have seals of their own beside this (see
//! `codec.rs`): a seal finds a wrong value, this finds an old one.
//!
//! The layout is that of <https://github.com/cberner/redb/blob/master/docs/design.md>, version 3:
//!
//! ```text
//!   header   magic 9 B | flags u8 | 2 B | page size u32 | region header pages u32 | pages of a region u32
//!            | at 64 and 192 a slot: version u8 | user root? u8 | system root? u8 | 5 B | user root 32 B
//!              | system root 32 B | 32 B | transaction u64 | 8 B | checksum u128
//!   root     page u64 | checksum u128 | length u64
//!   page     number: order u5 | 19 bits | region u20 | index u20, from the highest bit on
//!   branch   2 u8 | u8 | keys u16 | 4 B | checksum u128 of each child | page u64 of each child
//!            | end of each key u32, unless keys have a width | keys
//!   leaf     1 u8 | u8 | pairs u16 | end of each key u32 and of each value u32, unless they have a width
//!            | keys | values
//!   table    kind u8 | length u64 | root? u8 | root | key width? u8 | u32 | value width? u8 | u32 | ...
//! ```

use super::expected_pages::{ExpectationTable, ExpectedPage};
use super::recovery_bypass::{FLAGS_AT, PRIMARY, RECOVERY_REQUIRED};
use redb::StorageBackend;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_128;

/// The error of a read that met a page with other contents than expected.
#[derive(Debug)]
pub struct DamagedPageError {
    /// Offset of the page in the file, in bytes.
    pub offset: u64,
    /// Description of the damage.
    pub detail: &'static str,
}

impl fmt::Display for DamagedPageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.offset == 0 {
            return write!(f, "its header: {}", self.detail);
        }
        write!(f, "the page at byte {}: {}", self.offset, self.detail)
    }
}

impl std::error::Error for DamagedPageError {}

const HEADER: usize = 320;
/// The first bytes of every file of the engine.
pub(super) const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
const PAGE: u64 = 4096;
const SLOTS: [usize; 2] = [64, 192];
const SLOT: usize = 128;
const SLOT_SUM: usize = SLOT - 16;
const VERSION: u8 = 3;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// The value in place of the checksum of a page that a transaction has changed and not committed.
const DEFERRED: u128 = 999;
/// The largest page, in powers of two of [`PAGE`]: 4 GiB.
const ORDER_MAX: u64 = 20;

/// The kind of tree that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TreeKind {
    /// Its values are tables, with roots of their own.
    of_tables: bool,
    key_width: Option<u32>,
    value_width: Option<u32>,
}

const TABLES: TreeKind = TreeKind { of_tables: true, key_width: None, value_width: None };

/// A page as described by the page above it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChildPage {
    pub(super) offset: u64,
    pub(super) len: u64,
    checksum: u128,
    tree: TreeKind,
}

/// The places of pages in the file, in bytes.
#[derive(Clone, Copy, Debug)]
struct PageGeometry {
    region_header: u64,
    region: u64,
}

impl PageGeometry {
    /// Offset and length of a page; `None` if there can be no such page.
    fn place(self, number: u64) -> Option<(u64, u64)> {
        let order = number >> 59;
        if order > ORDER_MAX {
            return None;
        }
        let (index, region) = (number & (0xF_FFFF >> order), number >> 20 & 0xF_FFFF);
        let len = PAGE << order;
        Some((PAGE + region * self.region + self.region_header + index * len, len))
    }

    fn below(self, root: &[u8], tree: TreeKind) -> Option<ChildPage> {
        let (offset, len) = self.place(u64_at(root, 0)?)?;
        Some(ChildPage { offset, len, checksum: u128_at(root, 8)?, tree })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u128_at(bytes: &[u8], at: usize) -> Option<u128> {
    Some(u128::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The parts of the header of a file that prove pages.
struct FileHeader {
    geometry: PageGeometry,
    /// True if no repair is required, and yet the header names an older commit as the newest.
    turned_back: bool,
    /// The transaction of the slot that the header names as the newest.
    named: Option<u64>,
    /// Transaction, checksum and roots of each slot that is whole.
    slots: Vec<(u64, u128, Vec<ChildPage>)>,
}

impl FileHeader {
    /// Reads a header. `None` if it is none that we know; the engine reports that itself.
    fn parse(bytes: &[u8]) -> Option<FileHeader> {
        if !bytes.starts_with(MAGIC) || u32_at(bytes, 12)? as u64 != PAGE {
            return None;
        }
        let (header, pages) = (u32_at(bytes, 16)? as u64, u32_at(bytes, 20)? as u64);
        let geometry =
            PageGeometry { region_header: header * PAGE, region: (header + pages) * PAGE };
        let slot = |at: usize| {
            let slot = bytes.get(at..at + SLOT)?;
            let checksum = u128_at(slot, SLOT_SUM)?;
            if slot[0] != VERSION || xxh3_128(&slot[..SLOT_SUM]) != checksum {
                return None;
            }
            let root = |there: usize, at: usize| match slot[there] {
                0 => None,
                _ => geometry.below(&slot[at..at + 32], TABLES),
            };
            // The user tree, then the system tree; either may be empty.
            let roots = root(1, 8).into_iter().chain(root(2, 40)).collect();
            Some((u64_at(slot, 104)?, checksum, roots))
        };
        let slots = SLOTS.map(slot);
        let flags = *bytes.get(FLAGS_AT as usize)?;
        let [named, other] = match flags & PRIMARY {
            0 => [&slots[0], &slots[1]],
            _ => [&slots[1], &slots[0]],
        };
        // A commit that was cut short may leave a newer slot, so this is damage only where no
        // repair is required.
        let newer = |other: &(u64, _, _)| named.as_ref().is_some_and(|named| other.0 > named.0);
        let turned_back = flags & RECOVERY_REQUIRED == 0 && other.as_ref().is_some_and(newer);
        let named = named.as_ref().map(|named| named.0);
        Some(FileHeader {
            geometry,
            turned_back,
            named,
            slots: slots.into_iter().flatten().collect(),
        })
    }
}

/// Returns whether a page has the expected checksum.
fn is_expected(page: &[u8], checksum: [u32; 2], tree: TreeKind) -> bool {
    let used = used_len(page, tree).and_then(|len| page.get(..len));
    used.is_some_and(|used| truncate_checksum(xxh3_128(used)) == checksum)
}

/// The number of bytes of a page that its checksum covers. They come from an unproven page, so each
/// step is checked.
fn used_len(page: &[u8], tree: TreeKind) -> Option<usize> {
    let count = u16_at(page, 2)?;
    let last = count.checked_sub(1)?;
    let fixed = |start: usize, width: u32| start.checked_add((width as usize).checked_mul(count)?);
    match *page.first()? {
        LEAF => {
            let (values_at, keys_at) = leaf_places(count, tree);
            let keys_end = match tree.key_width {
                Some(width) => fixed(keys_at, width)?,
                None => u32_at(page, 4 + 4 * last)?,
            };
            match tree.value_width {
                Some(width) => fixed(keys_end, width),
                None => u32_at(page, values_at + 4 * last),
            }
        }
        BRANCH => {
            let ends_at = 8 + 24 * (count + 1);
            match tree.key_width {
                Some(width) => fixed(ends_at, width),
                None => u32_at(page, ends_at + 4 * last),
            }
        }
        _ => None,
    }
}

/// Where the ends of the values and the keys of a leaf begin.
fn leaf_places(pairs: usize, tree: TreeKind) -> (usize, usize) {
    let ends = |width: Option<u32>| if width.is_none() { 4 * pairs } else { 0 };
    let values_at = 4 + ends(tree.key_width);
    (values_at, values_at + ends(tree.value_width))
}

/// Calls `visit` with each page that a proven page describes, and with `false` if a writer may still
/// change that page. `None` if one of them cannot be.
fn children(
    page: &[u8],
    tree: TreeKind,
    geometry: PageGeometry,
    visit: &mut impl FnMut(ChildPage, bool),
) -> Option<()> {
    let count = u16_at(page, 2)?;
    match *page.first()? {
        LEAF if tree.of_tables => {
            let (values_at, keys_at) = leaf_places(count, tree);
            let mut start = match tree.key_width {
                Some(width) => keys_at + width as usize * count,
                None => u32_at(page, 4 + 4 * count.checked_sub(1)?)?,
            };
            for pair in 0..count {
                let end = u32_at(page, values_at + 4 * pair)?;
                table(page.get(start..end)?, geometry, visit)?;
                start = end;
            }
        }
        BRANCH => {
            let pages_at = 8 + 16 * (count + 1);
            for child in 0..=count {
                let checksum = u128_at(page, 8 + 16 * child)?;
                let (offset, len) = geometry.place(u64_at(page, pages_at + 8 * child)?)?;
                visit(ChildPage { offset, len, checksum, tree }, checksum != DEFERRED);
            }
        }
        _ => {}
    }
    Some(())
}

/// Returns whether pages of a tree describe others, going by the first byte of this one.
fn describes_pages(page: &[u8], tree: TreeKind) -> bool {
    tree.of_tables || page.first() == Some(&BRANCH)
}

/// Calls `visit` with the root of a table, read from the definition of the table.
fn table(
    definition: &[u8],
    geometry: PageGeometry,
    visit: &mut impl FnMut(ChildPage, bool),
) -> Option<()> {
    let width = |at: usize| match definition.get(at)? {
        0 => Some(None),
        _ => Some(Some(u32_at(definition, at + 1)? as u32)),
    };
    let tree = TreeKind { of_tables: false, key_width: width(42)?, value_width: width(47)? };
    if *definition.get(9)? != 0 {
        let root = geometry.below(definition.get(10..42)?, tree)?;
        visit(root, root.checksum != DEFERRED);
    }
    Some(())
}

/// Storage that returns only pages with the expected contents, and an error for others.
#[derive(Debug)]
pub struct VerifyingBackend<B> {
    inner: B,
    known: Mutex<ExpectedPages>,
}

/// Expectations about pages, taken from the pages that were read.
#[derive(Debug, Default)]
struct ExpectedPages {
    geometry: Option<PageGeometry>,
    /// Transactions and checksums of the slots of the header.
    slots: Vec<(u64, u128)>,
    /// The kinds of trees that were met: at most as many as there are tables.
    trees: Vec<TreeKind>,
    /// Expected pages, by place in pages from the start of the file.
    pages: ExpectationTable,
}

/// The place of a page; a file has fewer than 2^32 pages.
fn page_number(offset: u64) -> Option<u32> {
    u32::try_from(offset / PAGE).ok()
}

fn truncate_checksum(checksum: u128) -> [u32; 2] {
    [checksum as u32, (checksum >> 32) as u32]
}

impl ExpectedPages {
    /// Expects `child`, which is of the kind with this number.
    fn record(&mut self, child: ChildPage, kind: u16, settled: bool) {
        let Some(place) = page_number(child.offset) else { return };
        // A page that may still change has no expectation, and an old one must not stay.
        if !settled {
            self.pages.remove(place);
            return;
        }
        let order = (child.len / PAGE).trailing_zeros() as u8;
        let sum = truncate_checksum(child.checksum);
        self.pages.insert(place, ExpectedPage { sum, tree: kind, order, expanded: false });
    }

    fn tree_number(&mut self, tree: TreeKind) -> u16 {
        let known = self.trees.iter().position(|known| *known == tree);
        let at = known.unwrap_or_else(|| {
            self.trees.push(tree);
            self.trees.len() - 1
        });
        at as u16
    }

    /// The expectation about a page and its kind of tree, if a page above it was read.
    fn expected(&self, offset: u64) -> Option<(ExpectedPage, TreeKind)> {
        let page = *self.pages.get(page_number(offset)?)?;
        Some((page, *self.trees.get(usize::from(page.tree))?))
    }

    /// Takes over the expectations about the pages below a proven page. `None` if it names a page
    /// that cannot be.
    fn expand(&mut self, page: &[u8], offset: u64, tree: TreeKind) -> Option<()> {
        let geometry = self.geometry?;
        // The children of a branch are of its own kind, so the number is looked for once.
        let (mut last, mut number) = (tree, self.tree_number(tree));
        children(page, tree, geometry, &mut |child, settled| {
            if child.tree != last {
                (last, number) = (child.tree, self.tree_number(child.tree));
            }
            self.record(child, number, settled);
        })?;
        if let Some(page) = page_number(offset).and_then(|place| self.pages.get_mut(place)) {
            page.expanded = true;
        }
        Some(())
    }

    /// Takes over a header that was read; returns what is wrong with it, if anything.
    fn header(&mut self, bytes: &[u8]) -> Option<&'static str> {
        let Some(header) = FileHeader::parse(bytes) else { return self.geometry.map(|_| REPLACED) };
        let newest = |slots: &[(u64, u128)]| slots.iter().map(|(id, _)| *id).max();
        // A commit that was cut short may be in the other slot, and the next one has its number.
        let committed = |(id, ..): &&(u64, u128, _)| header.named.is_some_and(|named| *id <= named);
        let slots: Vec<(u64, u128)> =
            header.slots.iter().filter(committed).map(|(id, sum, _)| (*id, *sum)).collect();
        let other = |(id, sum): &(u64, u128)| {
            self.slots.iter().any(|(known, known_sum)| known == id && known_sum != sum)
        };
        // One transaction with two checksums, or a step back in time: it is not the file that was
        // opened.
        if slots.iter().any(other) || newest(&slots) < newest(&self.slots) {
            return Some(REPLACED);
        }
        if header.turned_back {
            return Some(TURNED_BACK);
        }
        self.geometry = Some(header.geometry);
        self.slots = slots;
        for root in header.slots.into_iter().flat_map(|(_, _, roots)| roots) {
            let number = self.tree_number(root.tree);
            self.record(root, number, true);
        }
        None
    }
}

impl<B> VerifyingBackend<B> {
    /// Over other storage.
    pub fn new(inner: B) -> VerifyingBackend<B> {
        VerifyingBackend { inner, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, ExpectedPages> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the header to write in place of one that requires no repair and yet names an older
/// commit as the newest: the same header, but with a repair required. `None` for any other header.
///
/// A repair after a commit that was cut short writes such a header, just before it commits itself
/// and so replaces the other slot. A process that is killed in between would leave a file that
/// looks like one whose newest commit was turned back by damage. With the mark it is repaired once
/// more.
fn needs_second_repair(header: &[u8]) -> Option<Vec<u8>> {
    FileHeader::parse(header).filter(|header| header.turned_back)?;
    let mut header = header.to_vec();
    header[FLAGS_AT as usize] |= RECOVERY_REQUIRED;
    Some(header)
}

fn damaged(offset: u64, detail: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, DamagedPageError { offset, detail })
}

const NOT_MEANT: &str = "it is not the one that the rest of the file means";
const REPLACED: &str = "the file was replaced by another state while it was open";
const TURNED_BACK: &str = "it names an older commit as the newest";
const CUT_OFF: &str = "the file ends before it";

impl<B: StorageBackend> StorageBackend for VerifyingBackend<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof if offset > 0 => damaged(offset, CUT_OFF),
            _ => e,
        })?;
        if offset == 0 {
            let wrong = if out.len() < HEADER { None } else { self.known().header(out) };
            return wrong.map_or(Ok(()), |detail| Err(damaged(0, detail)));
        }
        // The lock is not held while the page is hashed.
        let expected = self.known().expected(offset);
        // Pages that no page describes are not checked, such as those of the open transaction.
        let Some((expected, tree)) = expected else { return Ok(()) };
        if PAGE << expected.order != out.len() as u64 || !is_expected(out, expected.sum, tree) {
            return Err(damaged(offset, NOT_MEANT));
        }
        if describes_pages(out, tree) {
            let mut known = self.known();
            // A reader meets a branch again and again; a writer may have changed what is below it.
            if (!expected.expanded || known.pages.is_writing())
                && known.expand(out, offset, tree).is_none()
            {
                return Err(damaged(offset, NOT_MEANT));
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset == 0
            && let Some(header) = needs_second_repair(data)
        {
            return self.inner.write(0, &header);
        }
        if offset > 0 {
            let mut known = self.known();
            // One write may cover several pages, each with an expectation of its own.
            for page in (offset..offset + data.len() as u64).step_by(PAGE as usize) {
                if let Some(place) = page_number(page) {
                    known.pages.remove_written(place);
                }
            }
        }
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    super::locks_of!(inner);
}

/// Walks over all pages of the newest state of a file of `size` bytes, from the header down. Calls
/// `found` for each damaged page and goes on; pages below a damaged one are not seen. Returns the
/// number of pages.
pub fn walk(
    size: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    mut found: impl FnMut(DamagedPageError),
) -> io::Result<u64> {
    let mut header = [0; HEADER];
    read(0, &mut header)?;
    let Some(FileHeader { geometry, slots, .. }) = FileHeader::parse(&header) else {
        found(DamagedPageError { offset: 0, detail: "it is no header" });
        return Ok(1);
    };
    let Some((_, _, mut open)) = slots.into_iter().max_by_key(|(id, ..)| *id) else {
        found(DamagedPageError { offset: 0, detail: "no commit in it is whole" });
        return Ok(1);
    };
    let (mut pages, mut bytes) = (1, Vec::new());
    while let Some(ChildPage { offset, len, checksum, tree }) = open.pop() {
        pages += 1;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            found(DamagedPageError { offset, detail: CUT_OFF });
            continue;
        }
        bytes.clear();
        bytes.resize(len as usize, 0);
        match read(offset, &mut bytes) {
            Ok(()) => {
                let whole = is_expected(&bytes, truncate_checksum(checksum), tree)
                    .then(|| children(&bytes, tree, geometry, &mut |below, _| open.push(below)));
                if whole.flatten().is_none() {
                    found(DamagedPageError { offset, detail: NOT_MEANT });
                }
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                found(DamagedPageError { offset, detail: CUT_OFF });
            }
            Err(e) => return Err(e),
        }
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{Database, TableDefinition};

    #[test]
    fn a_header_that_seems_turned_back_asks_for_a_repair() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.redb");
        let table: TableDefinition<'_, u32, u32> = TableDefinition::new("t");
        let database = Database::create(&path).unwrap();
        for value in 0..2 {
            let commit = database.begin_write().unwrap();
            commit.open_table(table).unwrap().insert(value, value).unwrap();
            commit.commit().unwrap();
        }
        drop(database);
        let mut header = std::fs::read(&path).unwrap()[..HEADER].to_vec();
        assert_eq!(header[FLAGS_AT as usize] & RECOVERY_REQUIRED, 0);
        assert_eq!(needs_second_repair(&header), None);
        header[FLAGS_AT as usize] ^= PRIMARY;
        let settled = needs_second_repair(&header).expect("an older commit is named as the newest");
        assert_eq!(settled[FLAGS_AT as usize], header[FLAGS_AT as usize] | RECOVERY_REQUIRED);
        assert!(FileHeader::parse(&settled).is_some_and(|header| !header.turned_back));
        assert_eq!(needs_second_repair(&settled), None);
    }
}
