"""Words to make up models, features and subjects from, so that copying is learned for any name."""

from __future__ import annotations

NAMES = (
    "width", "height", "depth", "weight", "speed", "age", "price", "income", "balance", "pressure", "humidity", "voltage",
    "current", "torque", "density", "volume", "rainfall", "salinity", "acidity", "friction", "latency", "mileage", "tenure",
    "glucose", "dose", "oxygen", "noise", "power", "flow", "angle", "length", "size", "score", "rate", "count", "amount",
    "distance", "area", "level", "temperature",
)  # fmt: skip
"""Single words that name a quantity."""

QUALIFIERS = (
    "mean", "last", "first", "total", "outer", "inner", "front", "rear", "monthly", "daily", "initial", "final", "left", "right",
    "upper", "lower", "engine", "blood", "water", "soil", "air", "room", "motor", "signal", "credit", "rental", "stem", "leaf",
)  # fmt: skip
"""Words that go before a quantity."""

UNITS = (
    "cm",
    "mm",
    "m",
    "km",
    "kg",
    "g",
    "s",
    "min",
    "h",
    "days",
    "years",
    "EUR",
    "V",
    "A",
    "W",
    "bar",
    "times",
    "points",
    "degrees",
)

MODELS = (
    "iris", "fraud", "digits", "wine", "churn", "credit", "house-prices", "pump-wear", "spam", "mushrooms", "loan-risk",
    "sensor-health", "weather", "tumour", "demand", "quality", "returns", "claims", "bikes", "energy",
)  # fmt: skip

LABEL_WORDS = (
    "setosa", "versicolor", "virginica", "legitimate", "fraud", "high", "low", "medium", "yes", "no", "stays", "leaves", "good",
    "bad", "healthy", "worn", "spam", "ham", "edible", "poisonous", "approved", "rejected", "rain", "sun", "benign", "malignant",
    "normal", "faulty", "red", "white", "positive", "negative", "late", "on time", "safe", "risky", "ok", "broken",
)  # fmt: skip

SUBJECTS = (
    "the sea", "the moon", "cats", "dogs", "football", "chess", "tax law", "the stock market", "Rome", "Napoleon", "Mozart",
    "photosynthesis", "black holes", "dinosaurs", "gardening", "bread", "coffee", "yoga", "volcanoes", "the French Revolution",
    "electric cars", "bitcoin", "Shakespeare", "jazz", "painting", "love", "autumn", "mountains", "the brain", "vitamins",
    "the Roman Empire", "world war two", "climate change", "a lost key", "friendship", "pirates", "robots", "tea", "trains",
    "birds", "whales", "the sun", "rivers", "poker", "skiing", "cheese", "wine tasting", "pasta", "haircuts", "shoes",
    "Paris", "Tokyo", "Brazil", "Egypt", "Iceland", "a dragon", "the king", "space travel", "vaccines", "sleep", "diets",
    "marathon training", "guitar chords", "marriage", "my boss", "school", "the weather", "movies", "novels", "elections",
    "the president", "inflation", "mortgages", "quantum physics", "algebra", "prime numbers", "the ocean", "Mars", "bees",
    "sailing boats", "old castles", "knitting", "mobile phones", "laptops", "video games", "holidays", "flowers", "trees",
)  # fmt: skip

COUNTRIES = (
    "France", "Italy", "Spain", "Japan", "Kenya", "Peru", "Norway", "Canada", "India", "Greece", "Poland", "Chile", "Turkey",
    "Portugal", "Austria", "Sweden", "Mexico", "Ireland", "Finland", "Hungary", "Thailand", "Vietnam", "Morocco", "Cuba",
)  # fmt: skip

LANGUAGES = ("French", "German", "Spanish", "Italian", "Japanese", "Latin", "Russian", "Dutch", "Swedish", "Polish")

PROGRAMMING = ("Python", "Java", "Rust", "Go", "JavaScript", "C", "SQL", "Haskell", "bash", "PHP", "Ruby", "Kotlin")

THINGS_TO_CODE = (
    "sorts a list", "reverses a string", "finds prime numbers", "parses a date", "adds two matrices", "draws a circle",
    "counts words", "reads a csv file", "downloads a page", "plays a sound", "checks a password", "sends an email",
    "computes factorials", "merges two dictionaries", "shuffles cards", "solves sudoku",
)  # fmt: skip

DISHES = (
    "pancakes",
    "lasagne",
    "sushi",
    "apple pie",
    "onion soup",
    "risotto",
    "tacos",
    "pizza",
    "a curry",
    "brownies",
    "goulash",
    "a salad",
)

PEOPLE = (
    "Einstein", "Marie Curie", "Julius Caesar", "Beethoven", "Picasso", "Cleopatra", "Darwin", "Newton", "Gandhi", "Galileo",
    "Leonardo", "Tolstoy", "Kafka", "Plato", "Columbus", "Galilei", "Bach", "Dante", "Goethe", "Frida Kahlo",
)  # fmt: skip

CARRIERS = (
    "so", "now", "then", "well", "just", "again", "here", "there", "indeed", "really", "simply", "clearly", "perhaps", "maybe", "still",
    "already", "today", "yesterday", "soon", "later", "often", "always", "sometimes", "mostly", "mainly", "nearly", "almost",
    "about", "around", "roughly", "exactly", "precisely", "some", "quite", "rather", "fairly", "only", "even", "also", "too", "as",
    "that", "this", "it", "we", "they", "I", "you", "he", "she", "somebody", "everyone", "people", "my", "our", "your", "their",
    "his", "her", "the", "a", "an", "any", "every", "such", "the same", "whole", "new", "old", "good", "fine", "nice", "big",
    "small", "strange", "plain", "clear", "quick", "slow", "early", "late", "ready", "sure", "true", "fresh", "clean", "quiet", "bright",
    "is", "was", "are", "were", "be", "been", "has", "have", "had", "does", "did", "do", "seems", "looks", "became", "stands", "stood",
    "gives", "gave", "shows", "showed", "says", "said", "tells", "told", "reads", "puts", "takes", "took", "taken", "makes", "made",
    "gets", "got", "finds", "found", "sees", "saw", "seen", "keeps", "kept", "holds", "held", "brings", "came", "comes", "went", "goes",
    "turned", "ended", "started", "counted", "noted", "wrote", "written", "recorded", "reported", "checked", "estimated", "listed",
    "entered", "given", "known", "thought", "believed", "meant", "called", "asked", "heard", "felt", "tried", "used", "wanted",
    "to", "of", "in", "on", "at", "by", "for", "with", "from", "up", "out", "over", "into", "upon", "per", "under", "within", "through",
    "when", "while", "where", "which", "who", "what", "how", "because", "since", "although", "if", "but", "yet", "hence", "thus",
    "figure", "value", "reading", "result", "number", "entry", "note", "report", "record", "sheet", "file", "page", "table", "list",
    "team", "friend", "brother", "colleague", "boss", "student", "doctor", "expert", "machine", "system", "tool", "ruler", "screen",
    "data", "test", "check", "case", "thing", "part", "matter", "point", "line", "way", "place", "world", "book", "paper", "letter",
    "morning", "evening", "week", "month", "year", "moment", "end", "start", "middle", "top", "hand", "eye", "head", "word",
    "please", "thanks", "hello", "sorry", "okay", "yes", "right", "fact", "truth", "guess", "hope", "luck", "story", "news", "idea",
)  # fmt: skip
"""Common words to put where a phrase has room: none of them says which figure is which, or that one is missing."""
