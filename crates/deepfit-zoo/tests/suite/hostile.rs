//! Files that were made to do harm: each is an error that says what is wrong, quickly and in little memory.

use std::io::{Cursor, Write};

use deepfit_zoo::Weights;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::weights::golden;

/// What reading a file says.
fn refused(bytes: Vec<u8>) -> String {
    match Weights::from_bytes(bytes, "file") {
        Ok(weights) => panic!("{weights:?}"),
        Err(error) => error.to_string(),
    }
}

/// A file of `torch.save` around a pickle, with one storage of 16 bytes.
fn zipped(pickle: &[u8]) -> Vec<u8> {
    archive(&[("m/data.pkl", pickle), ("m/data/0", &[0; 16])], CompressionMethod::Stored)
}

fn archive(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).expect("an entry");
        writer.write_all(bytes).expect("bytes");
    }
    writer.finish().expect("an archive").into_inner()
}

/// A pickle, operation by operation.
#[derive(Clone, Default)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn new() -> Self {
        Pickle(vec![0x80, 2])
    }

    fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.op(b"X").op(&length).op(text.as_bytes())
    }

    fn int(self, value: i32) -> Self {
        self.op(b"J").op(&value.to_le_bytes())
    }

    fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    fn tuple(self, values: &[i32]) -> Self {
        values.iter().fold(self.op(b"("), |pickle, &value| pickle.int(value)).op(b"t")
    }

    /// The storage `0` with so many elements.
    fn storage(self, class: &str, elements: i32) -> Self {
        let id = self.op(b"(").text("storage").global("torch", class).text("0").text("cpu");
        id.int(elements).op(b"tQ")
    }

    /// A tensor of that storage.
    fn tensor(self, elements: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Self {
        let begun = self.global("torch._utils", "_rebuild_tensor_v2").op(b"(").storage("FloatStorage", elements);
        begun.int(offset).tuple(shape).tuple(strides).op(b"\x89").global("collections", "OrderedDict").op(b")RtR")
    }

    /// A dictionary with one item, the value being made by `value`.
    fn dict(value: impl FnOnce(Pickle) -> Pickle) -> Vec<u8> {
        value(Pickle::new().op(b"}").text("w")).op(b"s.").0
    }
}

#[test]
fn a_tensor_made_by_hand_is_read() {
    let file = zipped(&Pickle::dict(|p| p.tensor(4, 1, &[3], &[1])));
    let mut weights = Weights::from_bytes(file, "file").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(weights.read("w").expect("a tensor").values, [0.0; 3]);
}

#[test]
fn no_python_object_but_plain_data_is_made() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("subprocess", "Popen"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ] {
        let call = |p: Pickle| p.global(module, name).op(b"(").text("echo harm").op(b"tR");
        let told = refused(zipped(&Pickle::dict(call)));
        assert!(told.contains(&format!("`{module}.{name}`")) && told.contains("no weights"), "{told}");
        // The same by the operation of newer pickles, and as a class.
        let call = |p: Pickle| p.text(module).text(name).op(b"\x93(").text("echo harm").op(b"t\x81");
        let told = refused(zipped(&Pickle::dict(call)));
        assert!(told.contains(&format!("`{module}.{name}`")), "{told}");
    }
}

#[test]
fn objects_hidden_in_others_are_found() {
    // As an argument of something allowed, before anything is made of it.
    let hidden = |p: Pickle| {
        p.global("collections", "OrderedDict").op(b"(").global("os", "system").op(b"(").text("x").op(b"tRtR")
    };
    assert!(refused(zipped(&Pickle::dict(hidden))).contains("`os.system`"));
    // As the state of an object.
    let state = |p: Pickle| p.op(b"}").global("os", "system").op(b")Rb");
    assert!(refused(zipped(&Pickle::dict(state))).contains("`os.system`"));
    // Behind the end, where it is never looked at.
    let mut behind = Pickle::dict(|p| p.tensor(4, 0, &[4], &[1]));
    behind.extend(Pickle::new().global("os", "system").op(b")R.").0);
    assert_eq!(Weights::from_bytes(zipped(&behind), "file").expect("weights").len(), 1);
    // Older operations that make objects.
    for op in
        [&b"(ios\nsystem\n"[..], b"(o", b"\x82\x01", b"\x83\x01\x02", b"\x92", b"\x96\x01\0\0\0\0\0\0\0x", b"\x97"]
    {
        let told = refused(zipped(&Pickle::dict(|p| p.op(op))));
        assert!(told.contains("the pickle operation"), "{told}");
    }
}

#[test]
fn tensors_stay_within_their_storage() {
    for (elements, offset, shape, strides, expected) in [
        (4, 0, &[5][..], &[1][..], "reaches outside"),
        (4, 2, &[3], &[1], "reaches outside"),
        (4, 0, &[2, 2], &[3, 1], "reaches outside"),
        (4, 0, &[2], &[i32::MAX], "reaches outside"),
        (4, i32::MAX, &[1], &[1], "reaches outside"),
        (4, 0, &[i32::MAX, i32::MAX, i32::MAX], &[1, 1, 1], "reaches outside"),
        (4, 0, &[i32::MAX, i32::MAX, i32::MAX], &[0, 0, 0], "reaches outside"),
        (4, 0, &[i32::MAX], &[0], "repeats elements"),
        (4, -1, &[1], &[1], "numbers from 0"),
        (4, 0, &[-1], &[1], "numbers from 0"),
        (4, 0, &[2], &[-1], "numbers from 0"),
        (4, 0, &[2], &[1, 1], "one stride an axis"),
        (5, 0, &[4], &[1], "has 16 bytes of 20"),
        (i32::MAX, 0, &[4], &[1], "bytes"),
        (-4, 0, &[4], &[1], "no storage"),
    ] {
        let told = refused(zipped(&Pickle::dict(|p| p.tensor(elements, offset, shape, strides))));
        assert!(told.contains(expected), "{shape:?} {strides:?}: {told}");
    }
    // Without elements a shape may be anything that fits into memory's numbers.
    let empty = zipped(&Pickle::dict(|p| p.tensor(4, 0, &[0, 7], &[7, 1])));
    assert!(Weights::from_bytes(empty, "file").expect("weights").read("w").expect("a tensor").values.is_empty());
}

#[test]
fn storages_are_those_that_are_known() {
    let of = |class: &str| {
        let begun = |p: Pickle| p.global("torch._utils", "_rebuild_tensor").op(b"(").storage(class, 4);
        refused(zipped(&Pickle::dict(|p| begun(p).int(0).tuple(&[1]).tuple(&[1]).op(b"tR"))))
    };
    assert!(of("ComplexFloatStorage").contains("`torch.ComplexFloatStorage`"));
    let told =
        refused(archive(&[("m/data.pkl", &Pickle::dict(|p| p.tensor(4, 0, &[4], &[1])))], CompressionMethod::Stored));
    assert!(told.contains("the storage 'm/data/0' is missing"), "{told}");
    // One storage in two sizes.
    let twice = |p: Pickle| p.tensor(4, 0, &[4], &[1]).op(b"s").text("v").tensor(3, 0, &[1], &[1]);
    assert!(refused(zipped(&Pickle::dict(twice))).contains("in two ways"));
}

#[test]
fn bombs_take_neither_memory_nor_time() {
    // Tuples in tuples, a million deep, and lists that hold themselves.
    let deep = |p: Pickle| p.op(b")").op(&b"\x85".repeat(500_000));
    assert!(refused(zipped(&Pickle::dict(deep))).contains("no tensors"));
    let more = |p: Pickle| p.op(b")").op(&b"\x85".repeat(3_000_000));
    assert!(refused(zipped(&Pickle::dict(more))).contains("more objects"));
    let itself = |p: Pickle| p.op(b"]q\x01h\x01a");
    assert!(refused(zipped(&Pickle::dict(itself))).contains("no tensors"));
    // A dictionary that holds itself under the name of weights.
    let itself = Pickle::new().op(b"}q\x01").text("model").op(b"h\x01s.").0;
    assert!(refused(zipped(&itself)).contains("no tensors"));
    // Each tuple holds the one before twice.
    let doubled = (0..60).fold(Pickle::new().op(b"}").text("w").op(b")"), |p, _| p.op(b"q\x01h\x01\x86"));
    assert!(refused(zipped(&doubled.op(b"s.").0)).contains("no tensors"));
    // A long list, copied again and again.
    let pairs = (0..1000).fold(Pickle::new().op(b"}").text("w").op(b"]("), |p, _| p.op(b"NN\x86")).op(b"eq\x01");
    let copied = (0..10_000).fold(pairs.op(b"("), |p, _| p.global("collections", "OrderedDict").op(b"h\x01\x85R"));
    assert!(refused(zipped(&copied.op(b"ts.").0)).contains("copies more values"));
    // Lengths without what they count.
    for claim in [&b"X\xff\xff\xff\x7f"[..], b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f", b"U\xff"]
    {
        let told = refused(zipped(&Pickle::dict(|p| p.op(claim))));
        assert!(told.contains("bytes") || told.contains("cut off"), "{told}");
    }
    // A memo at a far place, marks, and many views of one storage.
    assert!(refused(zipped(&Pickle::dict(|p| p.op(b"Nr\xff\xff\xff\xff")))).contains("no tensors"));
    assert!(refused(zipped(&Pickle::dict(|p| p.op(&b"(".repeat(5_000_000))))).contains("more values at once"));
    let storage: Vec<u8> = vec![0; 1 << 20];
    let views = (0..2000)
        .fold(Pickle::new().op(b"}"), |p, i| p.text(&i.to_string()).tensor(1 << 18, 0, &[1 << 18], &[1]).op(b"s"));
    let told =
        refused(archive(&[("m/data.pkl", &views.op(b".").0), ("m/data/0", &storage)], CompressionMethod::Stored));
    assert!(told.contains("tensors would need"), "{told}");
}

#[test]
fn damaged_stacks_are_told() {
    for (ops, expected) in [
        (&b"s."[..], "stack is empty"),
        (b"0.", "stack is empty"),
        (b"2.", "stack is empty"),
        (b"t.", "mark is missing"),
        (b"NNR.", "calls something"),
        (b"h\x07.", "never stored"),
        (b"NQ.", "no storage"),
        (b"NNNs.", "plain value"),
        (b"]NNs.", "no dictionary"),
        (b"}(Nu.", "without a value"),
        (b"NNb.", "attributes"),
        (b"I12x\n.", "no number"),
        (b"cos\n", "cut off"),
        (b"N.", "no dictionary of weights"),
        (b"\xff.", "0xff"),
    ] {
        let told = refused(zipped(&Pickle::new().op(ops).0));
        assert!(told.contains(expected), "{ops:?}: {told}");
    }
}

#[test]
fn archives_that_lie_are_refused() {
    let pickle = Pickle::dict(|p| p.tensor(4, 0, &[4], &[1]));
    let program = archive(&[("m/data.pkl", &pickle), ("m/constants.pkl", b"")], CompressionMethod::Stored);
    assert!(refused(program).contains("TorchScript"));
    let big = archive(&[("m/data.pkl", &pickle), ("m/byteorder", b"big")], CompressionMethod::Stored);
    assert!(refused(big).contains("big-endian"));
    let short = archive(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 15])], CompressionMethod::Stored);
    assert!(refused(short).contains("has 15 bytes of 16"));
}

/// A safetensors file of a header and so many bytes.
fn safetensors_of(header: &str, bytes: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + bytes, 0);
    file
}

#[test]
fn safetensors_that_do_not_hold_together_are_refused() {
    let tensor = |shape: &str, begin: usize, end: usize| {
        format!("{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}")
    };
    let one = |shape: &str, begin, end| format!("{{\"a\":{}}}", tensor(shape, begin, end));
    let two = |b: String| format!("{{\"a\":{},\"b\":{b}}}", tensor("[2]", 0, 8));
    assert!(Weights::from_bytes(safetensors_of(&two(tensor("[1]", 8, 12)), 12), "file").is_ok());
    for (header, bytes) in [
        (two(tensor("[2]", 4, 12)), 12),
        (two(tensor("[2]", 0, 8)), 8),
        (two(tensor("[1]", 12, 16)), 16),
        (one("[2]", 0, 12), 12),
        (one("[2]", 8, 0), 8),
        (one("[3]", 0, 12), 8),
        (one("[2]", 0, 8), 12),
        (one("[18446744073709551615, 2]", 0, 8), 8),
        (one("[4611686018427387904, 4]", 0, 8), 8),
        (one("[-1]", 0, 8), 8),
        ("{\"a\":3}".to_string(), 0),
        ("{".to_string(), 0),
        ("{\"a\":".repeat(10_000), 0),
        ("{\"a\":".to_string() + &"[".repeat(100_000), 0),
        ("{\"__metadata__\":{\"a\":3}}".to_string(), 0),
    ] {
        let told = refused(safetensors_of(&header, bytes));
        assert!(told.contains("damaged safetensors"), "{header:.60}: {told}");
    }
    let mut long = safetensors_of("{}", 0);
    long[..8].copy_from_slice(&0xFFFF_FFFFu64.to_le_bytes());
    assert!(refused(long).contains("its header is 4294967295 bytes long"));
}

/// A small random generator: `xorshift64*`.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
    }
}

/// One to four changes: bytes, cuts, repetitions, numbers at the edge.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let place = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place.min(bytes.len()), random.below(256) as u8),
            2 if !bytes.is_empty() => _ = bytes.remove(place),
            3 => {
                let part = bytes[place..(place + random.below(40)).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            4 => {
                let edge = [0u8, 1, 0x7f, 0x80, 0xff][random.below(5)];
                for byte in bytes.iter_mut().skip(place).take(1 + random.below(8)) {
                    *byte = edge;
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

/// Reads all that can be read of bytes; errors are fine, panics are not.
fn exhaust(bytes: Vec<u8>) -> bool {
    let Ok(mut weights) = Weights::from_bytes(bytes, "file") else { return false };
    let names: Vec<String> = weights.iter().map(|(name, ..)| name.to_string()).collect();
    names.iter().all(|name| weights.read(name).is_ok())
}

#[test]
fn changed_files_never_panic() {
    let tensors = "{\"a\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},\
                    \"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]}}";
    let mut files = vec![safetensors_of(tensors, 16), zipped(&Pickle::dict(|p| p.tensor(4, 1, &[3], &[1])))];
    for name in ["zip.pth", "older.pth", "checkpoint.pt", "checkpoint-older.pt"] {
        files.push(std::fs::read(golden(name)).expect("a file"));
    }
    // `DEEPFIT_FUZZ=100` makes a hundred times as many changes, others each time that the number is another.
    let times: u64 = std::env::var("DEEPFIT_FUZZ").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let mut random = Random(0x5EED + times);
    let (mut read, mut all) = (0, 0);
    for file in &files {
        assert!(exhaust(file.clone()));
        for _ in 0..1500 * times {
            let mut bytes = file.clone();
            mutate(&mut bytes, &mut random);
            read += usize::from(exhaust(bytes));
            all += 1;
        }
    }
    // Changes that touch values alone leave a file readable, and most do not.
    assert!(read > all / 100 && read < all, "{read} of {all}");
}

#[test]
fn files_cut_off_anywhere_are_refused() {
    for name in ["zip.pth", "older.pth"] {
        let file = std::fs::read(golden(name)).expect("a file");
        for length in (0..file.len()).step_by(7) {
            assert!(!exhaust(file[..length].to_vec()), "{name} cut to {length}");
        }
    }
}
