"""What the tables of all studies say, row by row."""

from badnets.report.rows.row import RULE_ELSEWHERE, RULE_ON_MNIST, Judge, Row, Verdict, claim_holds, like_the_paper

__all__ = ["RULE_ELSEWHERE", "RULE_ON_MNIST", "Judge", "Row", "Verdict", "claim_holds", "like_the_paper"]
