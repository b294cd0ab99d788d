use icewell::*;
#[test]
fn smoke() {
    let d = tempfile::tempdir().unwrap();
    let c = Cache::open(d.path().join("c")).unwrap();
    let id = ImageId::new("x").unwrap();
    assert!(c.queue(&id).unwrap());
    assert!(!c.queue(&id).unwrap());
    let mut w = c.write(&id).unwrap();
    assert_eq!(c.write(&id).unwrap_err().kind(), ErrorKind::InProgress);
    assert!(c.is_being_cached(&id).unwrap());
    w.start(Announced { size: Some(3 << 20), ..Default::default() }).unwrap();
    w.write(&vec![0; 2 << 20]).unwrap();
    w.write(&vec![1; 1 << 20]).unwrap();
    assert_eq!(w.commit().unwrap(), Commit::Stored);
    assert!(!c.is_queued(&id).unwrap());
    println!("{:?}", c.images().unwrap());
    assert!(c.images().unwrap()[0].allocated < 2 << 20);
    println!("{:?}", c.verify(&id, &mut |_| {}).unwrap());
    c.copy_out(&id, &d.path().join("out"), &mut |_| {}).unwrap();
    assert_eq!(c.hits(&id).unwrap(), 1);
    let j = ImageId::new("y").unwrap();
    let mut w = c.write(&j).unwrap();
    w.write(b"abc").unwrap();
    w.suspend().unwrap();
    println!("{:?}", c.incomplete().unwrap());
    let mut w = c.write(&j).unwrap();
    assert_eq!(w.resumable().unwrap().length, 3);
    w.resume(Announced {
        size: Some(6),
        digests: vec!["md5:e80b5017098950fc58aad83c8c14978e".parse().unwrap()],
        ..Default::default()
    })
    .unwrap();
    w.write(b"def").unwrap();
    w.commit().unwrap();
    drop(c.write(&ImageId::new("z").unwrap()).unwrap());
    let mut w = c.write(&ImageId::new("z").unwrap()).unwrap();
    w.write(b"q").unwrap();
    drop(w);
    println!("{:?}", c.invalid().unwrap());
    println!("{:?}", examine(c.dir()).unwrap());
    println!("{:?}", c.prune(Limit { max_size: 6, count: Count::Size }, Mode::Act).unwrap());
    println!("{:?} {:?}", c.usage(), c.space());
}
