"""What waits for a browser is bounded, and a pose is never later than its picture."""

from pipeline.viewer.mailbox import TEXTS, UNSEEN, Mailbox


def test_messages_come_in_order_and_before_the_picture() -> None:
    woken: list[int] = []
    mailbox = Mailbox("main", lambda: woken.append(1), ["hello"])
    mailbox.text("pose 1")
    mailbox.picture(b"1")
    assert len(woken) == 2
    assert mailbox.take() == ["hello", "pose 1", b"1"]
    assert mailbox.take() == []


def test_a_browser_that_does_not_read_loses_the_oldest() -> None:
    mailbox = Mailbox("main", lambda: None)
    for number in range(TEXTS + 7):
        mailbox.text(str(number))
    for number in range(10):
        mailbox.picture(bytes([number]))
    taken = mailbox.take()
    assert taken[0] == "7"
    assert taken[-2:] == [str(TEXTS + 6), bytes([8])]
    assert mailbox.dropped == {"view_message": 7, "view_picture": 8}


def test_pictures_wait_for_those_before_to_be_seen() -> None:
    mailbox = Mailbox("main", lambda: None)
    for number in range(UNSEEN + 1):
        mailbox.picture(bytes([number]))
        sent = mailbox.take()
        assert bool(sent) == (number < UNSEEN)
    mailbox.text("poses go on")
    assert mailbox.take() == ["poses go on"]
    mailbox.seen()
    assert mailbox.take() == [bytes([UNSEEN])]
