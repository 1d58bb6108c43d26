package logs

// Field is a field of a line that readers use.
type Field uint8

// The fields whose texts a [Record] has.
const (
	FieldSite Field = iota
	FieldHost
	FieldPath
	FieldProto
	FieldClientIP
	FieldClaim
	FieldVerdict
	FieldCause // verdict_cause
	FieldPTR
	FieldRule
	FieldState
	FieldAction
	FieldReason
	FieldFrom
	FieldTo
	FieldWhat
	FieldBy
	FieldCrawler
	keptFields // how many these are
)

// The other fields that are looked at.
const (
	fieldV Field = iota + keptFields
	fieldTime
	fieldBoot
	fieldSeq
	fieldEvent
	fieldStatus
	fieldRequestID
	fieldLost
	fieldLeftOut
	fieldRemoved
	fieldUnsynced
	fieldMessage // systemd's journal as JSON: the line that was written
	fieldLog     // Docker's json-file: likewise
	fields       // how many there are
	unknownField = fields
)

// fieldOf finds the field of a name. Names are compared exactly, as JSON has them.
func fieldOf(name []byte) Field {
	switch string(name) {
	case "v":
		return fieldV
	case "time":
		return fieldTime
	case "boot":
		return fieldBoot
	case "seq":
		return fieldSeq
	case "event":
		return fieldEvent
	case "site":
		return FieldSite
	case "host":
		return FieldHost
	case "path":
		return FieldPath
	case "proto":
		return FieldProto
	case "client_ip":
		return FieldClientIP
	case "claim":
		return FieldClaim
	case "verdict":
		return FieldVerdict
	case "verdict_cause":
		return FieldCause
	case "ptr":
		return FieldPTR
	case "rule":
		return FieldRule
	case "state":
		return FieldState
	case "action":
		return FieldAction
	case "reason":
		return FieldReason
	case "status":
		return fieldStatus
	case "request_id":
		return fieldRequestID
	case "lost":
		return fieldLost
	case "left_out":
		return fieldLeftOut
	case "removed":
		return fieldRemoved
	case "unsynced":
		return fieldUnsynced
	case "from":
		return FieldFrom
	case "to":
		return FieldTo
	case "what":
		return FieldWhat
	case "by":
		return FieldBy
	case "crawler":
		return FieldCrawler
	case "MESSAGE":
		return fieldMessage
	case "log":
		return fieldLog
	}
	return unknownField
}
