"""What the learned performer is told: one row per column, with its scale, its group and what it means.

Widths are counted from these tables and written nowhere else. A group is concealed as a whole, so that a model learns
to do without what a score may lack (a plan, marks) or without the rules' advice.
"""

from __future__ import annotations

from dataclasses import dataclass

LIMIT = 4.0  # scaled values are held to -4..4


@dataclass(frozen=True)
class Column:
    """A column: the raw value in the unit that `doc` names is divided by `scale`, so that most lie within -1..1."""

    name: str
    group: str
    scale: float
    doc: str


def _table(text: str) -> tuple[Column, ...]:
    """Columns from lines "name | group | scale | doc"."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return tuple(Column(name, group, float(scale), doc) for name, group, scale, doc in rows)


NOTE_TABLE = _table("""
pitch                | pitch    | 24  | semitones over middle C
under_top            | pitch    | 12  | semitones under the highest note struck with it
over_bottom          | pitch    | 12  | semitones over the lowest note struck with it
over_register        | pitch    | 12  | semitones over the mean of what is struck within four quarters
over_piece           | pitch    | 12  | semitones over the mean of the piece
under_melody         | pitch    | 24  | semitones under the melody's present note
before_known         | line     | 1   | 1 where its line (the melody's, else its voice's) has a note before it
interval_before      | line     | 12  | semitones up from that note
after_known          | line     | 1   | 1 where its line has a note after it
interval_after       | line     | 12  | semitones up to that note
peak                 | line     | 1   | 1 above both neighbours in its line
trough               | line     | 1   | 1 below both
repeats              | line     | 1   | 1 where the same key was let go less than a quarter before
repeated_after       | line     | 1   | 1 where the same key is struck again when the note ends
melody               | role     | 1   | 1 for notes of the melody
bass                 | role     | 1   | 1 for the lowest note struck at its onset
inner                | role     | 1   | 1 for neither
hand                 | role     | 1   | 1 upper staff, -1 lower staff, 0 unknown
height_of_part       | role     | 1   | 1 first part … -1 last part; 0 where there is one part
chord_size           | chord    | 2   | log2 of the notes struck together
chord_size_in_hand   | chord    | 2   | log2 of the notes struck together on its staff of its part
place_in_chord       | chord    | 1   | 0 lowest … 1 highest of those struck together; 1 alone
top_of_hand          | chord    | 1   | 1 for the highest note struck on its staff of its part
bottom_of_hand       | chord    | 1   | 1 for the lowest
doubled              | chord    | 1   | 1 where another note of its pitch class is struck with it
sounding             | chord    | 3   | log2 of the notes that sound at its onset, itself among them
log_duration         | duration | 3   | log2 of the written length in quarters; a grace note counts as a thirty-second
duration_in_piece    | duration | 3   | the same less the piece's mean
duration_to_next     | duration | 3   | log2 of the length over the time to the next onset
rest_after           | duration | 2   | log2(1 + quarters of rest before the next note of its line)
sounding_share       | duration | 1   | share of the time to its line's next note for which it is written to sound
longest              | duration | 1   | 1 where nothing struck with it lasts longer
over_barline         | duration | 1   | 1 where it is held over a bar line
grace                | duration | 1   | 1 for a grace note
dissonant            | harmony  | 1   | 1 where it is no tone of the chord
chord_root           | harmony  | 1   | 1 for the chord's root
chord_seventh        | harmony  | 1   | 1 for the chord's seventh
chromatic            | harmony  | 1   | 1 outside the local key's scale
leading_tone         | harmony  | 1   | 1 for the local key's leading tone
staccato             | written  | 1   | 1 under a staccato sign, 0.5 where detached or portato
tenuto               | written  | 1   | 1 under a tenuto line
accent               | written  | 1   | 1 under an accent or a sforzato
slurred              | written  | 1   | 1 under a slur
slur_end             | written  | 1   | 1 for a slur's last note
arpeggio             | written  | 1   | 1 under an arpeggio sign
signs_known          | written  | 1   | 1 where the score has any such sign
rules_velocity       | rules    | 1   | shading by rules: standard deviations (4 at least) over the piece's mean
rules_articulation   | rules    | 1   | log2 of the rules' length over the written one in the rules' tempo
rules_timing         | rules    | .05 | seconds by which the rules play it before their tempo curve
""")

ONSET_TABLE = _table("""
log_ioi              | rhythm   | 3   | log2 of the quarters to the next onset (the last: to the score's end)
log_ioi_before       | rhythm   | 3   | log2 of the quarters from the onset before
first                | rhythm   | 1   | 1 for the first onset
ioi_change           | rhythm   | 2   | log2 of the time to the next onset over the time since the one before
ioi_next_change      | rhythm   | 2   | log2 of the next time between onsets over this one
ioi_to_local         | rhythm   | 2   | log2 of the time to the next onset over its mean within four quarters (in logs)
ioi_to_piece         | rhythm   | 3   | the same over the piece's mean
rest_after           | rhythm   | 2   | log2(1 + quarters of silence before the next onset)
rest_before          | rhythm   | 2   | log2(1 + quarters of silence before this onset)
graces               | rhythm   | 2   | log2(1 + grace notes here)
graces_next          | rhythm   | 2   | log2(1 + grace notes at the next onset)
melody_ioi           | rhythm   | 3   | log2 of the quarters from the present melody note to the next
position_in_bar      | meter    | 1   | 0 downbeat … 1 the next bar line
bar_sin              | meter    | 1   | sine of the position in the bar
bar_cos              | meter    | 1   | cosine of the position in the bar
beat_sin             | meter    | 1   | sine of the position in the beat
beat_cos             | meter    | 1   | cosine of the position in the beat
strength             | meter    | 1   | `Meter.strength`: 1 downbeat, 0.75 half bar, 0.5 beat, 0.25 half a beat, 0.125
downbeat             | meter    | 1   | 1 on the first beat
half_bar             | meter    | 1   | 1 in the middle of an even bar
on_beat              | meter    | 1   | 1 on another beat
off_beat             | meter    | 1   | 1 elsewhere
strength_next        | meter    | 1   | `Meter.strength` of the next onset; 1 after the last
before_beat          | meter    | 1   | 1 where the next onset lies on a beat, and for the last
before_downbeat      | meter    | 1   | 1 where the next onset lies on a first beat
syncopated           | meter    | 1   | 1 where it is weak and held over a stronger place
meter_beats          | meter    | 4   | beats a bar
meter_triple         | meter    | 1   | 1 where the bar has three beats
meter_compound       | meter    | 1   | 1 where the beat is dotted
bar_quarters         | meter    | 4   | quarters a bar
tempo_known          | tempo    | 1   | 1 where a tempo is written, by number or word, or planned
log_tempo            | tempo    | 1   | log2 of the written quarters a minute over 100
tempo_change         | tempo    | .5  | the same less its mean over the piece
density_1            | density  | 3   | log2(1 + notes a quarter) within half a quarter either way
density_4            | density  | 3   | the same within two quarters
density_16           | density  | 3   | the same within eight quarters
density_change       | density  | 2   | log2 of (1 + notes of the next four quarters) over (1 + those of the last four)
density_break        | density  | 2   | how much density_change is either way
density_to_piece     | density  | 2   | density_4 less its mean over the piece
onset_density        | density  | 3   | log2(1 + onsets a quarter) within two quarters
notes_struck         | density  | 2   | log2 of the notes struck here
notes_struck_next    | density  | 2   | log2 of the notes struck at the next onset; 0 after the last
notes_sounding       | density  | 3   | log2 of the notes that sound here
register_mean        | register | 24  | semitones over middle C, mean of what is struck
register_top         | register | 24  | the highest
register_bottom      | register | 24  | the lowest
register_change      | register | 12  | semitones of the next four quarters' mean over that of the last four
register_to_piece    | register | 12  | semitones of the mean within four quarters over the piece's
span                 | register | 24  | semitones from the lowest to the highest note struck
hand_span            | register | 12  | semitones of the widest chord struck on one staff of one part
hand_span_next       | register | 12  | the same of the next onset
bass_leap            | register | 12  | semitones between the lowest notes of the onset before and of this one
melody_here          | melody   | 1   | 1 where the melody has a note
melody_height        | melody   | 12  | semitones of the melody over its mean
melody_in_phrase     | melody   | 1   | 0 the phrase's lowest melody note … 1 its highest
melody_slope         | melody   | 12  | semitones by which the melody's next four quarters lie over its last four
melody_before        | melody   | 12  | semitones up from the melody note before
melody_after         | melody   | 12  | semitones up to the next melody note
melody_leap          | melody   | 12  | how much melody_before is either way
melody_peak          | melody   | 1   | 1 where it is the highest within two bars
melody_top           | melody   | 1   | 1 where it is the phrase's highest
chord_change         | harmony  | 1   | 1 where a new chord begins
chord_change_next    | harmony  | 1   | 1 where a new chord begins with the next onset, and for the last
since_change         | harmony  | 3   | log2(1 + quarters) since the chord began
chord_length         | harmony  | 3   | log2(1 + quarters) of the chord
root_motion          | harmony  | 6   | steps up the circle of fifths from the last root, -5..6
tonic                | harmony  | 1   | 1 on the local tonic triad
dominant             | harmony  | 1   | 1 on a dominant or leading-tone chord
predominant          | harmony  | 1   | 1 on ii or IV
inverted             | harmony  | 1   | 1 where the bass is not the root
minor                | harmony  | 1   | 1 in a minor key
key_distance         | harmony  | 6   | steps on the circle of fifths from the piece's first key, signed
key_change           | harmony  | 1   | 1 in the first bar of a new key
charge               | harmony  | 3   | harmonic charge (KTH)
diameter             | harmony  | 4   | widest distance between sounding tones in the spiral array
strain               | harmony  | 2   | distance of their centre from the key's
momentum             | harmony  | 2   | distance of their centre from that of the onset before
dissonance           | harmony  | 1   | share of sounding tones that are not the chord's
chromatic            | harmony  | 1   | share of sounding tones outside the key's scale
in_phrase            | form     | 1   | 0 the phrase's start … 1 its end
from_phrase_start    | form     | 5   | log2(1 + quarters) since the phrase began
to_phrase_end        | form     | 5   | log2(1 + quarters) until the phrase ends
phrase_length        | form     | 5   | log2(1 + quarters) of the phrase
phrase_first         | form     | 1   | 1 for the phrase's first onset
phrase_last          | form     | 1   | 1 for the phrase's last onset
phrase_last_bar      | form     | 1   | 1 in the phrase's last bar
in_section           | form     | 1   | 0 the section's start … 1 its end
from_section_start   | form     | 6   | log2(1 + quarters) since the section began
to_section_end       | form     | 6   | log2(1 + quarters) until the section ends
in_piece             | form     | 1   | 0 the piece's start … 1 its end
from_start           | form     | 8   | log2(1 + quarters) since the piece began
to_end               | form     | 8   | log2(1 + quarters) until the piece ends
near_end             | form     | 1   | 1 at the end of the piece, half of it every four quarters before
last_onset           | form     | 1   | 1 for the last onset
last_bar             | form     | 1   | 1 in the last bar that has notes
last_two_bars        | form     | 1   | 1 in the last two
bar_heard            | form     | 1   | 1 in a bar that has been heard before, note for note
to_cadence           | cadence  | 5   | log2(1 + quarters) until the next cadence; to the end where none follows
cadence_known        | cadence  | 1   | 1 where the phrase closes with a cadence
cadence_weight       | cadence  | 1   | 1 perfect, 0.8 imperfect or deceptive, 0.7 half, 0 none
cadence_half         | cadence  | 1   | 1 for a half cadence
cadence_deceptive    | cadence  | 1   | 1 for a deceptive one
statement_known      | plan     | 1   | 1 where sections are named
later_statement      | plan     | 1   | 1 where the section's letter was heard before
statements           | plan     | 3   | how often it was heard before
varied               | plan     | 1   | 1 where it returns with a prime, or in another key
level_known          | written  | 1   | 1 where the score or the plan has dynamics
level                | written  | 20  | velocity that marks and hairpins ask for, over that of mf
level_change         | written  | 14  | velocity by which the level rises in the next two quarters
level_since          | written  | 20  | velocity by which the level has risen in the last two quarters
accented             | written  | 1   | 1 under a sforzato or an accent
fermata              | written  | 1   | 1 under a fermata
slower               | written  | 1   | growing to 1 under a written ritardando
faster               | written  | 1   | growing to 1 under a written accelerando
rules_beat_period    | rules    | .5  | log2 of the rules' seconds a quarter over their mean
rules_velocity       | rules    | 1   | mean of the notes' `rules_velocity`
""")

NOTE_COLUMNS: tuple[str, ...] = tuple(c.name for c in NOTE_TABLE)
ONSET_COLUMNS: tuple[str, ...] = tuple(c.name for c in ONSET_TABLE)
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(c.group for c in (*NOTE_TABLE, *ONSET_TABLE)))


def columns_of(table: tuple[Column, ...], group: str) -> tuple[int, ...]:
    """Places of a group's columns in a table; none where the table has none of it.

    Raises:
        ValueError: no such group.
    """
    if group not in GROUPS:
        raise ValueError(f"feature group {group!r} is not one of {', '.join(GROUPS)}")
    return tuple(i for i, c in enumerate(table) if c.group == group)
