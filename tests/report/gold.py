"""What a page must say, computed from gold with another engine: scope by scope, the exact values in their order."""

import tomllib
from datetime import date, timedelta
from pathlib import Path

import duckdb
from deltalake import DeltaTable

KPIS = ("kpi_ar_trend", "kpi_ar_aging", "kpi_days_in_ar", "kpi_collection_rate", "kpi_claims", "kpi_payer_mix")
BUCKETS = (0, 31, 61, 91, 121)


class Gold:
    def __init__(self, lake: Path, as_of: str):
        self.lake, self.as_of = lake, date.fromisoformat(as_of)
        config = tomllib.loads((lake / "configs/report.toml").read_text())
        limits = config.get("materiality", {})
        self.least, self.small = limits.get("least_for_rate", 100), limits.get("small_cells", 11)
        self.hospitals = {name: hospital for hospital, name in config.get("hospitals", {}).items()}
        payers = config.get("payers", {})
        self.payers = {folded(word): name for name, words in payers.items() for word in (name, *words)}
        self.db = duckdb.connect()
        for name in KPIS:
            self.db.register(f"{name}_all", DeltaTable(lake / "gold" / name).to_pyarrow_table())
            self.db.execute(f"create view {name} as select * from {name}_all where as_of = date '{as_of}'")

    def payer(self, word: str | None) -> str:
        return "not given" if word is None else self.payers.get(folded(word), word.strip())

    def hospital(self, scope: dict) -> str | None:
        return None if scope["id"] == "all" else self.hospitals.get(scope["name"], scope["name"])

    def one(self, sql: str, hospital: str | None):
        return self.db.execute(self.of(sql, hospital)).fetchone()

    def rows(self, sql: str, hospital: str | None) -> list:
        return self.db.execute(self.of(sql, hospital)).fetchall()

    def of(self, sql: str, hospital: str | None) -> str:
        return sql.replace("$hospital", "true" if hospital is None else f"datasource = '{hospital}'")

    def ends(self) -> list[date]:
        return [end for (end,) in self.rows("select distinct month_end from kpi_ar_trend order by 1", None)]

    def last_month(self) -> date:
        first = self.as_of.replace(day=1)
        has_ended = (self.as_of + timedelta(days=1)).day == 1
        return first if has_ended else (first - timedelta(days=1)).replace(day=1)

    # ---- What the page shows ----

    def tiles(self, hospital: str | None) -> list[str | None]:
        balance, period, over = self.one(
            "select sum(balance), sum(amount_in_period), sum(balance_over_90_days) from kpi_days_in_ar where $hospital", hospital
        )
        paid, due = self.one(
            "select sum(paid_within_k), sum(amount) from kpi_collection_rate where horizon_days = 90 and $hospital", hospital
        )
        claims, denied = self.one(
            f"select coalesce(sum(claims), 0), coalesce(sum(denied), 0) from kpi_claims "
            f"where claim_month = date '{self.last_month()}' and $hospital",
            hospital,
        )
        return [
            money(balance),
            f"{float(balance) / float(period) * 90:.4f}" if period else None,
            share(over, balance),
            share(paid, due),
            self.rate(claims, denied),
        ]

    def rate(self, claims, denied) -> str | None:
        shown = claims >= self.least and not 0 < denied < self.small
        return share(denied, claims) if shown else None

    def equation(self, hospital: str | None) -> list[str]:
        base, last = self.ends()[-4], self.ends()[-1]
        opening, closing = (
            self.one(f"select coalesce(sum(balance), 0) from kpi_ar_trend where month_end = date '{end}' and $hospital", hospital)[0]
            for end in (base, last)
        )
        billed, paid = self.one(
            f"select sum(billed), sum(paid_on_balance) from kpi_ar_trend where month_end > date '{base}' and $hospital", hospital
        )
        assert opening + billed - paid == closing
        return [money(value) for value in (opening, billed, paid, closing)]

    def change(self, hospital: str | None) -> tuple[str, str]:
        """The change of the balance and the balance, in the last line of the table."""
        opening, _, _, closing = self.equation(hospital)
        return f"{float(closing) - float(opening):.2f}", closing

    def ages(self, hospital: str | None) -> dict[str, list[str]]:
        found: dict[str, list] = {}
        for payer, bucket, balance in self.rows(
            "select line_of_business, age_from, sum(balance) from kpi_ar_aging where $hospital group by all",
            hospital,
        ):
            found.setdefault(self.payer(payer), [0] * 5)[BUCKETS.index(bucket)] += balance
        found = {payer: sums for payer, sums in found.items() if any(sums)}
        found["All payers"] = [sum(column) for column in zip(*found.values())] if found else [0] * 5
        return {payer: [money(value) for value in (*sums, sum(sums))] for payer, sums in found.items()}

    def days(self, hospital: str | None) -> list[str | None]:
        """Of the first month end, of the one that changes are told from, of the last, and the change."""
        found = []
        for end in (self.ends()[0], self.ends()[-4], self.ends()[-1]):
            balance, period = self.one(
                f"select sum(balance), sum(amount_in_period) from kpi_ar_trend where month_end = date '{end}' and $hospital", hospital
            )
            found.append(float(balance) / float(period) * 90 if period else None)
        known = found[1] is not None and found[2] is not None
        return [None if value is None else f"{value:.4f}" for value in found] + [f"{found[2] - found[1]:.4f}" if known else None]

    def collected(self, hospital: str | None) -> list[str | None]:
        return [
            share(paid, amount)
            for paid, amount in self.rows(
                "select sum(paid_within_k), sum(amount) from kpi_collection_rate where $hospital group by horizon_days "
                "order by horizon_days",
                hospital,
            )
        ]

    def denials(self, hospital: str | None) -> dict[str, str | None]:
        rows = self.rows(
            f"select payor_type, sum(claims), sum(denied) from kpi_claims "
            f"where claim_month = date '{self.last_month()}' and $hospital group by all",
            hospital,
        )
        found: dict[str, list] = {}
        for payer, claims, denied in rows:
            sums = found.setdefault(self.payer(payer), [0, 0])
            sums[0], sums[1] = sums[0] + claims, sums[1] + denied
        return {payer: self.rate(*sums) for payer, sums in found.items()}

    def volumes(self, hospital: str | None) -> dict[str, tuple[str, str]]:
        """Amount of transactions and of claims of the last months."""
        found = {}
        month = self.last_month()
        for _ in range(6):
            amount = self.one(f"select coalesce(sum(amount), 0) from kpi_payer_mix where service_month = date '{month}' and $hospital", hospital)[0]
            claimed = self.one(f"select coalesce(sum(claim_amount), 0) from kpi_claims where claim_month = date '{month}' and $hospital", hospital)[0]
            found[month.strftime("%b %y")] = (money(amount), money(claimed))
            month = (month - timedelta(days=1)).replace(day=1)
        return found


def folded(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())


def money(value) -> str:
    return f"{value:.2f}"


def share(part, whole) -> str | None:
    return f"{float(part) / float(whole):.6f}" if whole else None
