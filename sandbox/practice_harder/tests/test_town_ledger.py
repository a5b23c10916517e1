import pytest
from townkit.ledger import Account, Closed, Overdrawn


def account(*amounts, limit=0, owner="Ada"):
    made = Account(owner, limit)
    made.entries = [("start", cents) for cents in amounts]
    return made


def test_account_new():
    ada = Account("Ada")
    assert ada.owner == "Ada"
    assert ada.entries == []


def test_account_limits():
    assert Account("Ada").limit == 0
    assert Account("Ada", 500).limit == 500


def test_account_is_open():
    assert Account("Ada").is_closed is False


def test_account_own_entries():
    Account("Ada").entries.append(("gift", 5))
    assert Account("Ben").entries == []


def test_balance_sum():
    assert account(500, -120, 30).balance == 410


def test_balance_one():
    assert account(700).balance == 700


def test_balance_nothing():
    assert account().balance == 0


def test_balance_debts():
    assert account(-50, -20, limit=100).balance == -70


def test_book_entry():
    ada = account(500)
    assert ada.book("bread", -280) == 220
    assert ada.entries == [("start", 500), ("bread", -280)]


def test_book_first():
    ada = account()
    assert ada.book("gift", 100) == 100
    assert ada.entries == [("gift", 100)]


def test_book_limit():
    assert account(500, limit=200).book("boat", -700) == -200
    assert account(500).book("boat", -500) == 0


def test_book_too_much():
    with pytest.raises(Overdrawn):
        account(500, limit=200).book("boat", -701)
    with pytest.raises(Overdrawn):
        account().book("bread", -1)


def test_book_money_in_while_in_debt():
    assert account(-900, limit=200).book("gift", 50) == -850


def test_book_closed():
    ada = account(500)
    ada.is_closed = True
    with pytest.raises(Closed):
        ada.book("gift", 100)


def test_book_nothing_is_noted():
    ada = account(100)
    with pytest.raises(Overdrawn):
        ada.book("boat", -300)
    assert ada.entries == [("start", 100)]


def test_deposit_usual():
    ada = account(100)
    assert ada.deposit(250) == 350
    assert ada.entries[-1] == ("deposit", 250)


def test_deposit_twice():
    ada = account()
    ada.deposit(10)
    assert ada.deposit(5) == 15


def test_deposit_nothing():
    with pytest.raises(ValueError):
        account().deposit(0)
    with pytest.raises(ValueError):
        account(100).deposit(-5)


def test_deposit_closed():
    ada = account()
    ada.is_closed = True
    with pytest.raises(Closed):
        ada.deposit(100)


def test_deposit_one_cent():
    assert account().deposit(1) == 1


def test_withdraw_usual():
    ada = account(1000)
    assert ada.withdraw(300) == 700
    assert ada.entries == [("start", 1000), ("withdrawal", -300)]


def test_withdraw_all():
    assert account(1000).withdraw(1000) == 0


def test_withdraw_fee():
    ada = account(1000, limit=500)
    assert ada.withdraw(1200) == -250
    assert ada.entries[-1] == ("withdrawal", -1250)


def test_withdraw_fee_counts():
    assert account(1000, limit=500).withdraw(1450) == -500
    with pytest.raises(Overdrawn):
        account(1000, limit=500).withdraw(1451)


def test_withdraw_already_in_debt():
    assert account(-100, limit=500).withdraw(100) == -250


def test_withdraw_no_limit():
    with pytest.raises(Overdrawn):
        account(1000).withdraw(1001)


def test_withdraw_nothing():
    with pytest.raises(ValueError):
        account(1000).withdraw(0)
    with pytest.raises(ValueError):
        account(1000).withdraw(-5)


def test_withdraw_one_cent():
    assert account(1000).withdraw(1) == 999


def test_transfer_both():
    ada = account(500)
    ben = account(100, owner="Ben")
    ada.transfer(ben, 200)
    assert ada.balance == 300
    assert ben.balance == 300


def test_transfer_entries():
    ada = account(500)
    ben = account(owner="Ben")
    ada.transfer(ben, 1)
    assert ada.entries[-1] == ("to Ben", -1)
    assert ben.entries == [("from Ada", 1)]


def test_transfer_too_much():
    ada = account(100)
    ben = account(owner="Ben")
    with pytest.raises(Overdrawn):
        ada.transfer(ben, 101)
    assert ben.entries == []


def test_transfer_to_closed():
    ada = account(500)
    ben = account(owner="Ben")
    ben.is_closed = True
    with pytest.raises(Closed):
        ada.transfer(ben, 100)
    assert ada.balance == 500


def test_transfer_from_closed():
    ada = account(500)
    ada.is_closed = True
    ben = account(owner="Ben")
    with pytest.raises(Closed):
        ada.transfer(ben, 100)
    assert ben.balance == 0


def test_undo_last():
    ada = account(500, -120)
    assert ada.undo() == ("start", -120)
    assert ada.balance == 500


def test_undo_entry():
    ada = account(500)
    ada.undo()
    assert ada.entries == [("start", 500), ("undo start", -500)]


def test_undo_twice():
    ada = account(500)
    ada.undo()
    assert ada.undo() == ("undo start", -500)
    assert ada.balance == 500


def test_undo_nothing():
    ada = account()
    assert ada.undo() is None
    assert ada.entries == []


def test_interest_usual():
    ada = account(20000)
    assert ada.interest(2) == 400
    assert ada.entries[-1] == ("interest", 400)


def test_interest_cents():
    assert account(1999).interest(1) == 19
    assert account(1250).interest(2) == 25


def test_interest_debts():
    ada = account(-5000, limit=9000)
    assert ada.interest(3) == -300
    assert ada.balance == -5300


def test_interest_debts_cents():
    assert account(-130, limit=900).interest(2) == -5


def test_interest_nothing():
    ada = account(30)
    assert ada.interest(3) == 0
    assert ada.entries == [("start", 30)]
    assert account().interest(5) == 0


def test_close_paid_out():
    ada = account(500, 20)
    assert ada.close() == 520
    assert ada.balance == 0


def test_close_entry():
    ada = account(500)
    ada.close()
    assert ada.entries[-1] == ("closing", -500)
    assert ada.is_closed is True


def test_close_empty():
    ada = account()
    assert ada.close() == 0
    assert ada.is_closed is True


def test_close_debts():
    ada = account(-1, limit=50)
    with pytest.raises(Overdrawn):
        ada.close()
    assert ada.is_closed is False


def test_statement_lines():
    assert account(500, -120).statement() == ["1. start: 5.-", "2. start: -1.20", "balance: 3.80"]


def test_statement_last():
    assert account(1, 2, 3, 4, 5, 6, 7).statement(2) == [
        "6. start: 0.06",
        "7. start: 0.07",
        "balance: 0.28",
    ]
    assert account(100, 200, 300).statement(1) == ["3. start: 3.-", "balance: 6.-"]


def test_statement_five():
    assert len(account(1, 2, 3, 4, 5, 6, 7).statement()) == 6
    assert account(1, 2, 3, 4, 5, 6).statement()[0] == "2. start: 0.02"


def test_statement_few():
    assert account(250).statement(9) == ["1. start: 2.50", "balance: 2.50"]


def test_statement_empty():
    assert account().statement() == ["balance: 0.-"]
