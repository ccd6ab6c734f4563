"""Who may look at which page, and who may change something there: read by people, compared with the hub by a test.

o owner · m manager · t trainer · k technician · a accountant · b member · - never answers so · public
"""

from __future__ import annotations

NEVER = "-"
"""The page has no such side: 405 for whoever may look."""
PUBLIC = "public"

ROLE_LETTERS = {
    "owner": "o",
    "manager": "m",
    "trainer": "t",
    "technician": "k",
    "accountant": "a",
    "member": "b",
}

TABLE = """
activities              omt     -
activity                omt     omt
add-computer            om      om
answer-problem          -       omk
assistant               om      -
assistant-finish        -       om
assistant-step          om      om
audit                   om      -
audit-looks             om      -
badge-lost              omtkab  omtkab
badges-to-enrol         om      -
bill-set-aside          -       oma
billing                 oma     -
billing-add             oma     oma
billing-allot           -       oma
billing-close           oma     oma
billing-closing-progress oma    -
billing-edit-payer      om      om
billing-end-pass        -       oma
billing-entitle         -       oma
billing-entries-csv     oma     -
billing-entries-xlsx    oma     -
billing-give-time       -       oma
billing-hand-over       -       oma
billing-head            oma     oma
billing-line            oma     oma
billing-material        oma     oma
billing-materials       oma     oma
billing-month           oma     -
billing-new-payer       om      om
billing-new-sponsor     oma     oma
billing-new-tariff      oma     oma
billing-payer           oma     -
billing-payer-month     oma     -
billing-payers          oma     -
billing-prepays         -       oma
billing-prices          oma     oma
billing-retire          -       oma
billing-sell-pass       -       oma
billing-send            oma     oma
billing-send-one        -       oma
billing-sponsor         oma     -
billing-sponsor-csv     oma     -
billing-sponsors        oma     -
billing-statement       oma     -
billing-statement-pdf   oma     -
billing-statements-csv  oma     -
billing-statements-xlsx oma     -
billing-take-back       -       oma
billing-tariff          oma     -
billing-tariffs         oma     -
block-badge             -       om
board                   omtkab  -
board-tiles             omtkab  -
card-file               -       om
clear-lock-out          -       omk
close-alarm             -       omk
close-problem           -       omk
command                 -       omk
confirm-enrolment       -       om
confirm-grant           -       omt
confirm-time            -       omt
confirmations           omta    -
correct-session         oma     oma
demand-second-factor    -       o
edit-machine            om      om
end-enrolment           -       om
end-wall                -       om
enrolment-state         om      -
erasures                om      -
give-badge              om      om
grant-training          -       omt
grants                  omt     -
group-hours             -       om
hand-out                om      om
hand-out-taps           om      -
house-rules             om      om
import                  om      om
import-forget           -       om
import-look             om      om
import-take-back        -       om
intervention            omk     omk
lab-rules               oma     oma
leave-out-set-aside     -       oma
letter                  om      -
lock-out                -       omk
lock-out-for-problem    -       omk
login                   public  public
logout                  public  public
machine                 omtka   -
machine-calendar        om      om
machine-feed            public  public
machine-label           omk     -
machine-maintenance     omk     -
machine-state           omtka   -
machines                omtka   -
mail                    om      -
mail-kinds              -       om
mail-settings           om      om
maintenance             omk     -
make-wall               -       om
me                      omtkab  -
member                  omta    -
member-data             om      om
member-edit             om      om
member-export           om      -
member-login            o       o
member-new              om      om
member-profile          omtkab  omtkab
members                 omta    -
my-data                 omtkab  -
my-export               omtkab  -
my-mail                 omtkab  omtkab
my-sign-in              omtkab  omtkab
my-volunteering         omtkab  omtkab
new-activity            omt     omt
new-intervention        omk     omk
new-machine             om      om
new-plan                omk     omk
new-volunteer-time      omt     omt
next-authority          -       om
node                    omk     -
nodes                   omk     -
open-wall               public  public
open-wall-tiles         public  public
plan                    omk     omk
problem-reported        public  public
problems                omk     -
public-page             public  public
publicity               om      om
read-calendar           -       om
reinstate-member        -       om
reject-grant            -       omt
reject-time             -       omt
remove-calendar         -       om
renew-feed              -       om
renew-label             -       om
reopen-problem          -       omk
report-csv              oma     -
report-json             oma     -
report-pdf              oma     -
report-problem          public  public
report-xlsx             oma     -
reports                 oma     -
reservations            om      om
retire-machine          -       om
retire-plan             -       omk
revoke-node             -       om
revoke-token            -       om
revoke-training         -       omt
second-step             public  public
send-again              -       om
session                 omka    -
sessions                omka    -
set-aside               oma     -
set-credit              -       om
set_language            public  public
settings                om      om
suspend-member          -       om
take-back               -       om
take-back-set-aside     -       oma
take-role               -       o
take-up-activity        -       omt
test-mail               -       om
time-sheets             omta    -
todo                    omtkab  -
tokens                  om      om
training                omta    -
training-edit           om      om
training-hold           omt     omt
training-matrix         omta    -
training-new            om      om
training-run            omt     omt
training-run-add        -       omt
training-run-call-off   -       omt
trainings               omta    -
trainings-soon          omta    -
unknown-badge           om      -
unknown-badges          om      -
volunteer-time          omt     omt
volunteering            omt     -
wall                    omtkab  -
wall-tiles              omtkab  -
welcome                 public  public
withdraw-activity       -       omt
withdraw-intervention   -       omk
"""

LOOKS = {row.split()[0]: row.split()[1] for row in TABLE.strip().splitlines()}
"""Who may look, by page."""
CHANGES = {row.split()[0]: row.split()[2] for row in TABLE.strip().splitlines()}
"""Who may change something, by page."""
OPEN = {name for name, who in LOOKS.items() if who == PUBLIC}
"""The door, and what an address that cannot be guessed opens."""

NEEDS_PROOF = {
    "billing-close",
    "billing-material",
    "billing-materials",
    "billing-new-tariff",
    "billing-prices",
    "demand-second-factor",
    "mail-settings",
    "member-data",
    "member-login",
    "my-sign-in",
    "take-role",
    "tokens",
}
"""Roles, prices, mail settings, tokens, closing a month, erasing a member, and one's own second factor."""
